"""Which sense an ambiguous abbreviation has where it stands: the package's table, and its measure.

    python -m benchmarks.senses make [TARGET]
    python -m benchmarks.senses measure [--vaers SETS/vaers2003] [--markdown docs/measurements.md]

Nobody labelled abbreviations in open notes, but a note that writes a sense out labels it: the words
around "prothrombin time" are those that would stand around "PT". Cues are learnt so from the
training clusters of MTSamples and VAERS 2000-2002, and chosen on the clusters that select; shares
are those of three counted inventories and of what the training clusters write out.
`senses_judged.tsv` tells what abbreviations of the selecting notes and of vaers2003 mean where they
stand, as judged by reading them.
"""

import argparse
import csv
import gzip
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import data_folder
from benchmarks.tables import Table, write_block
from benchmarks.training_sets.mtsamples import digit
from benchmarks.training_sets.vaers import TRAINING as YEARS
from benchmarks.training_sets.vaers import read_vaers
from drehr_rag.kg.inventories import NONE, Inventory, read_inventory
from drehr_rag.kg.packaged import FOLDER, INVENTORIES, packaged_graph
from drehr_rag.kg.senses import AROUND, HEADING, Senses, cues_of
from drehr_rag.notes.folding import fold, words
from drehr_rag.notes.sections import split_sections
from drehr_rag.retrievers._linking import senses as senses_by_one
from drehr_rag.retrievers._terms import COMMON

MODULE = "benchmarks.senses"
JUDGED = Path(__file__).parent / "senses_judged.tsv"

COUNTED = INVENTORIES[:3]
"""Those that counted senses in notes; each has the same say, and the training notes have it too."""

TRAINING, CHOOSING = range(6), (6, 7)
"""Hash digits of the clusters of MTSamples."""

LEAST = 0.002
"""Share of an abbreviation's uses below which a sense is left out."""

SECOND = 0.01
"""Share of what is not the foremost sense from which on an abbreviation is ambiguous."""

SEEN = 5
"""Mentions of a sense in the training part from which on its cues are learnt."""

READ = 200
"""Mentions of a sense that are read: the first by a hash."""

CUES = 12
"""Cues of a sense, the most telling first; twice as many tell hardly more."""

CUED = 0.3
"""Logarithm of a ratio below which a word tells nothing."""

SHRUNK = 5
"""Mentions as on average that are added to a sense's own: few mentions prove little."""

TWICE = 0.5
"""What a cue counts: words that stand together tell the same thing twice."""

CAPITALS = 2
"""Spellings as on average that are added to a sense's own."""

UNTOLD = ("not an acronym",)
"""Likewise no sense, in the words of the sign-out notes' list."""

JOINING = frozenset("and by for in of on or the to with".split())


class Mention(NamedTuple):
    """A sense that is written out in a note.

    Attributes:
        part: The hash digit of the note's cluster.
    """

    part: int
    cues: frozenset[str]


class Group(NamedTuple):
    """An abbreviation's senses, whatever its capitals.

    Attributes:
        names: Of each sense, the most frequent first.
        shares: Of each sense, by the inventories.
        spellings: Of each sense, with counts.
    """

    names: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...]
    spellings: tuple[Counter[str], ...]


Seen = dict[tuple[str, str], list[Mention]]
"""Abbreviation and a sense's first name → its mentions."""


# -- making ------------------------------------------------------------------------------------


def make(data: Path, target: Path) -> int:
    """Write the table; how many spellings it knows."""
    groups = read_groups(data / "abbrev")
    seen, written = mentions(data, groups)
    lines, spelt = [], set()
    for key, group in sorted(groups.items()):
        own = [seen.get((key, names[0]), []) for names in group.names]
        told = learn([[one for one in each if one.part in TRAINING] for each in own])
        if sum(map(bool, told)) < 2 or not _asked_for(group):
            continue
        shares = by_spelling(group, [written[key, names[0]] for names in group.names])
        spelt |= set(shares)
        for at, names in enumerate(group.names):
            mine = {short: each[at] for short, each in shares.items() if each[at] >= LEAST}
            if mine:
                lines.append("\t".join(["|".join(names), _column(mine, 3), _column(told[at], 1)]))
    target.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    return len(spelt)


def _asked_for(group: Group) -> bool:
    """Whether the packaged graph knows a sense: else no query is widened by the abbreviation."""
    return any(_concepts(name) for names in group.names for name in names)


def _column(numbers: dict[str, float], digits: int) -> str:
    return " ".join(f"{name}={round(value, digits):g}" for name, value in sorted(numbers.items()))


def learn(seen: Sequence[Sequence[Mention]]) -> list[dict[str, float]]:
    """The cues of each sense: how much more often they stand beside it than beside the average."""
    told: list[dict[str, float]] = [{} for _ in seen]
    rows = {at: some for at, some in enumerate(seen) if len(some) >= SEEN}
    if len(rows) < 2:
        return told
    counts = {at: Counter(cue for one in some for cue in one.cues) for at, some in rows.items()}
    often = [cue for cue, count in sum(counts.values(), Counter()).items() if count >= 3]
    base = {cue: sum(counts[a][cue] / len(rows[a]) for a in rows) / len(rows) for cue in often}
    for at, some in rows.items():
        found = []
        for cue in often:
            ratio = math.log((counts[at][cue] / base[cue] + SHRUNK) / (len(some) + SHRUNK))
            expected = len(some) * base[cue]
            spread = math.sqrt(expected * (1 - min(base[cue], 0.99)) + 0.5)
            if abs(ratio) >= CUED:
                found.append((-abs(counts[at][cue] - expected) / spread, cue, TWICE * ratio))
        told[at] = {cue: worth for _, cue, worth in sorted(found)[:CUES]}
    return told


def by_spelling(group: Group, written: Sequence[int]) -> dict[str, tuple[float, ...]]:
    """Spelling → share of each sense: three inventories and the notes, each with the same say."""
    own = [
        (len(COUNTED) * share + count / (sum(written) or 1)) / (len(COUNTED) + 1)
        for share, count in zip(group.shares, written, strict=True)
    ]
    every = sorted(set().union(*group.spellings))
    usual = {
        short: sum(
            share * (count[short] + 1) / (count.total() + len(every))
            for share, count in zip(own, group.spellings, strict=True)
        )
        for short in every
    }
    table = {}
    for short in every:
        worth = [
            share * (count[short] + CAPITALS * usual[short]) / (count.total() + CAPITALS)
            for share, count in zip(own, group.spellings, strict=True)
        ]
        table[short] = tuple(one / sum(worth) for one in worth)
    return table


def mentions(data: Path, groups: dict[str, Group]) -> tuple[Seen, Counter[tuple[str, str]]]:
    """Every sense that the notes write out, and how often MTSamples' training part does.

    At most so many of each from each source.
    """
    named = defaultdict(list)
    for key, group in groups.items():
        for names in group.names:
            for name in names:
                named[tuple(fold(name))].append((key, names[0]))
    found = defaultdict(list)
    written: Counter[tuple[str, str]] = Counter()
    for source, part, note, text in _texts(data):
        for at, heading, said, start, end in _stretches(text, named):
            near = said[max(0, start - AROUND) : start] + said[end : end + AROUND]
            mention = Mention(part, frozenset(cues_of(near, heading) - set(said[start:end])))
            order = sha256(f"{note} {at} {start}".encode()).digest()
            for own in named[tuple(said[start:end])]:
                found[own, source].append((order, mention))
                written[own] += source == "training clusters"
    seen: Seen = defaultdict(list)
    for (own, _), some in sorted(found.items()):
        seen[own] += [mention for _, mention in sorted(some, key=lambda one: one[0])[:READ]]
    return seen, written


def _texts(data: Path) -> Iterator[tuple[str, int, str, str]]:
    """Source, hash digit of the cluster (0: trains), id and text of each note."""
    for row in _notes(data):
        if (part := digit(row["cluster"])) in TRAINING:
            yield "training clusters", part, row["note_id"], row["text"]
        elif part in CHOOSING:
            yield "choosing clusters", part, row["note_id"], row["text"]
    for year in YEARS:
        for name, text in sorted(read_vaers(data, year)[0].items()):
            yield "reports", 0, name, text


def _notes(data: Path) -> Iterator[dict[str, str]]:
    with gzip.open(data / "notes" / "mtsamples_shared.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _stretches(
    text: str, named: dict[tuple[str, ...], list[tuple[str, str]]]
) -> Iterator[tuple[int, list[str], list[str], int, int]]:
    longest, first = max(map(len, named)), {name[0] for name in named if name}
    for at, section in enumerate(split_sections(text)):
        said = [
            folded for word in words(text[section.start : section.end]) for folded in _fold(word)
        ]
        heading = fold(section.title or "")
        for start in (at for at, word in enumerate(said) if word in first):
            for end in range(start + 1, min(len(said), start + longest) + 1):
                if tuple(said[start:end]) in named:
                    yield at, heading, said, start, end


@cache
def _fold(word: str) -> tuple[str, ...]:
    return tuple(fold(word))


def read_groups(folder: Path) -> dict[str, Group]:
    """The abbreviations of which more than one sense is counted."""
    shares: dict[str, Counter[str]] = defaultdict(Counter)
    spelt: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for name in COUNTED:
        rows = [(short, s) for short, s in read_inventory(folder / name) if s.long != NONE]
        for short, sense in rows:
            shares[_key(short)][sense.long.lower()] += sense.share or 0.0
        for long, surface, count in _spellings(folder / name):
            spelt[_key(surface)][long][surface.replace(".", "")] += count
    groups = {}
    for key, senses in shares.items():
        if len(key) >= 2 and key.isalnum() and key not in COMMON:
            total = sum(senses.values()) or 1.0
            group = _group(key, {s: share / total for s, share in senses.items()}, spelt[key])
            if sum(group.shares) - max(group.shares, default=0.0) >= SECOND:
                groups[key] = group
    return groups


def _key(short: str) -> str:
    return short.replace(".", "").lower()


def _spellings(file: Path) -> Iterator[tuple[str, str, int]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        for row in rows if "variation" in (rows.fieldnames or ()) else ():
            for part in (row["variation"] or "").split("|"):
                surface, _, count = part.rpartition("_")
                if surface and count.isdigit():
                    yield row["sense"].strip().lower(), surface, int(count)


def _group(key: str, shares: dict[str, float], spelt: dict[str, Counter[str]]) -> Group:
    """Senses; names of one concept, of other endings, or that say more, are one."""
    merged: list[list[str]] = []
    for long in sorted(shares, key=lambda one: (-shares[one], one)):
        if _key(long) != key and long not in UNTOLD:
            like = next((names for names in merged if _alike(names[0], long)), None)
            merged.append([long]) if like is None else like.append(long)
    kept = [names for names in merged if sum(shares[long] for long in names) >= LEAST]
    total = sum(shares[long] for names in kept for long in names)
    usual = Counter({key: 0, key.upper(): 0})
    counts = [Counter(usual) for _ in kept]
    for names, count in zip(kept, counts, strict=True):
        for long in names:
            for short, number in spelt[long].items():
                count[short] += number
    return Group(
        tuple(tuple(names) for names in kept),
        tuple(sum(shares[long] for long in names) / total for names in kept),
        tuple(counts),
    )


def _alike(one: str, other: str) -> bool:
    return _same(one, other) or not _concepts(one).isdisjoint(_concepts(other))


@cache
def _concepts(name: str) -> frozenset[str]:
    return frozenset(packaged_graph().concepts(name))


def _same(one: str, other: str) -> bool:
    a, b = _stems(fold(one)), _stems(fold(other))
    return a <= b or b <= a


def _stems(said: Iterable[str]) -> set[str]:
    return {word[:4] for word in said if word not in JOINING}


# -- measuring ---------------------------------------------------------------------------------


class Case(NamedTuple):
    """An abbreviation in a note, and what it means there; several names if any of them is right."""

    short: str
    cues: frozenset[str]
    meant: tuple[str, ...]


Guess = Callable[[str, frozenset[str]], str | None]


def measure(data: Path, vaers: Path | None) -> Table:
    """How often each way to tell senses is right, on written-out senses and on judged ones."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "senses.tsv"
        make(data, file)
        told = Senses(file)
    groups = read_groups(data / "abbrev")
    seen, _ = mentions(data, groups)
    written = list(_written(told, groups, seen))
    judged = list(_judged(data, vaers))
    one = Inventory(data / "abbrev" / name for name in INVENTORIES)
    ways: dict[str, Guess] = {
        "most frequent in the first inventory that counted": lambda short, _: next(
            iter(senses_by_one(short, one)), None
        ),
        "most frequent of four counts, as capitalised": _by(told, lambda _: False),
        "and the section's heading": _by(told, lambda cue: cue[0] == HEADING),
        "and ten words on either side": _by(told, lambda cue: cue[0] != HEADING),
        "and both": _by(told, lambda _: True),
    }
    head = ("sense by", "written out", "by sense", "judged", "by abbreviation")
    table = Table("Senses of ambiguous abbreviations", head)
    for name, guess in ways.items():
        right = [[_right(guess, case) for case in cases] for cases in (written, judged)]
        table.add(
            name,
            _mean(right[0]),
            _grouped(right[0], [(case.short, case.meant) for case in written]),
            _mean(right[1]),
            _grouped(right[1], [case.short.lower() for case in judged]),
        )
    table.note = (
        f"Accuracy. Written out: {len(written):,} senses that notes of the choosing part of "
        "MTSamples write out, taken for the abbreviation in capitals; by sense: the mean of the "
        f"senses' own. Judged: {len(judged)} abbreviations as they stand in these notes and in "
        "vaers2003, judged by reading."
    )
    return table


def _by(told: Senses, wanted: Callable[[str], bool]) -> Guess:
    def guess(short: str, cues: frozenset[str]) -> str | None:
        if short not in told:
            return None
        shares = told.shares(short, {cue for cue in cues if wanted(cue)})
        return told.of(short)[shares.index(max(shares))].names[0]

    return guess


def _right(guess: Guess, case: Case) -> bool:
    found = guess(case.short, case.cues)
    return found is not None and any(_same(found, name) for name in case.meant)


def _mean(right: Sequence[bool]) -> float:
    return sum(right) / len(right)


def _grouped(right: Sequence[bool], groups: Sequence[object]) -> float:
    own = defaultdict(list)
    for one, group in zip(right, groups, strict=True):
        own[group].append(one)
    return sum(map(_mean, own.values())) / len(own)


def _written(told: Senses, groups: dict[str, Group], seen: Seen) -> Iterator[Case]:
    for key, group in groups.items():
        if key.upper() in told:
            for names in group.names:
                for mention in seen.get((key, names[0]), ()):
                    if mention.part in CHOOSING:
                        yield Case(key.upper(), mention.cues, names)


def _judged(data: Path, vaers: Path | None) -> Iterator[Case]:
    """What was judged, in notes that are there; by the note and the how-manieth mention in it."""
    texts = {row["note_id"]: row["text"] for row in _notes(data)}
    if vaers is not None:
        with gzip.open(vaers / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
            texts |= {row["_id"]: row["text"] for row in map(json.loads, file)}
    with JUDGED.open(encoding="utf-8", newline="") as lines:
        for note, short, which, meant in csv.reader(lines, delimiter="\t"):
            if note in texts:
                cues = list(_places(texts[note], short))[int(which)]
                yield Case(short, cues, tuple(meant.split("|")))


def _places(text: str, short: str) -> Iterator[frozenset[str]]:
    for section in split_sections(text):
        said = words(text[section.start : section.end])
        for at, word in enumerate(said):
            if word == short:
                near = said[max(0, at - AROUND) : at] + said[at + 1 : at + 1 + AROUND]
                folded = [one for word in near for one in _fold(word)]
                yield frozenset(cues_of(folded, fold(section.title or "")))


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the table, or measure it."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("what", choices=("make", "measure"))
    default = FOLDER / "abbreviations" / "senses.tsv"
    parser.add_argument("target", type=Path, nargs="?", default=default)
    parser.add_argument("--vaers", type=Path, help="the set vaers2003 (benchmarks.training_sets)")
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    options = parser.parse_args(arguments)
    if options.what == "make":
        count = make(data_folder(), options.target)
        print(f"{count} spellings, {options.target.stat().st_size:,} bytes")
        return
    stamp = machine.describe(MODULE)
    table = measure(data_folder(), options.vaers)
    table.show(Console(width=170))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        text = f"## Senses of ambiguous abbreviations\n\n{head}\n\n{table.markdown()}"
        write_block(options.markdown, "senses", text, by=MODULE)


if __name__ == "__main__":
    main()
