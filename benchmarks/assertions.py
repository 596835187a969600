"""How well rules tell what a note denies, what is past and what a relative had.

    python -m benchmarks.assertions [--medspacy ENV/bin/python] [--markdown docs/measurements.md]

Labels: the 2,376 sentences of chapmanbe/negex (Apache-2.0), a concept marked in each. The split was
written down before any rule was: the SHA-256 of the sentence in small letters, white space folded;
an even first byte is `dev`, an odd one `report`. Not of concept and sentence together: then one
sentence with another concept marked would stand on both sides. Rules were chosen on `dev` alone.
medSpaCy lives in an environment of its own (docs/retrieval.md), whose python reads the same ones.
"""

import argparse
import gzip
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import data_folder
from benchmarks.tables import Table, write_block
from drehr_rag.notes.assertions import assertion_of

MODULE = "benchmarks.assertions"
HALVES = ("dev", "report")


@dataclass(frozen=True)
class Labelled:
    """A sentence with a mention at `start`, `end`, and what three columns say of it."""

    text: str = field(repr=False)
    start: int
    end: int
    negation: str
    temporality: str
    experiencer: str

    @property
    def bare(self) -> bool:
        """Nothing else stands in the sentence: a line of a list, torn from its heading."""
        return not re.search(r"\w", self.text[: self.start] + self.text[self.end :])


Judge = Callable[[Labelled], Sequence[str]]
"""What is said of a sentence's mention."""

ASKED: dict[str, tuple[str, Callable[[Labelled], bool]]] = {
    "negation: Negated": ("negated", lambda row: row.negation == "Negated"),
    "temporality: Historical": ("historical", lambda row: row.temporality == "Historical"),
    "temporality: Not particular": (
        "conditional",
        lambda row: row.temporality == "Not particular",
    ),
    "experiencer: Family member": ("family", lambda row: row.experiencer == "Family member"),
}
"""A label → what the rules call it, and who has it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.assertions", description=__doc__)
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    parser.add_argument("--medspacy", help="python of an environment with medSpaCy")
    options = parser.parse_args(arguments)
    stamp = machine.describe(MODULE)
    table = measure(data_folder(), medspacy=options.medspacy)
    table.show(Console(width=120))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        text = f"## Assertions: denied, past, a relative's\n\n{head}\n\n{table.markdown()}"
        write_block(options.markdown, "assertions", text, by=MODULE)


def measure(data: Path, medspacy: str | None = None) -> Table:
    """Both halves, label by label; by medSpaCy too, if it can be had."""
    halves, left = labelled(data)
    judges = {"rules": by_rules}
    if medspacy:
        judges["medSpaCy"], version = by_medspacy(medspacy, [*halves["dev"], *halves["report"]])
    table = Table(
        "Labelled sentences of chapmanbe/negex",
        ["label", "half", "by", "sentences", "labelled", "precision", "recall", "F1"],
        note=f"Halves: {MODULE}. {left} sentences are left out: the marked concept goes on in the "
        "next one. Context: without the sentences that hold the concept and nothing else. The "
        "labels call social history and allergies historical; these rules do not, on purpose. "
        "No rule was chosen on `report`, but about 30 rows of the whole file were seen with their "
        "labels while its columns were read. `possible` has no labels here."
        + (f" medSpaCy: {version}, its packaged ConText rules and sections." if medspacy else ""),
        left=3,
    )
    for label in ASKED:
        for half in HALVES:
            for by, judge in judges.items():
                _row(table, label, half, by, halves[half], counts(label, halves[half], judge))
            if label == "temporality: Historical":
                rows = [row for row in halves[half] if not row.bare]
                for by, judge in judges.items():
                    name = f"{label}, with context"
                    _row(table, name, half, by, rows, counts(label, rows, judge))
    return table


def _row(
    table: Table,
    name: str,
    half: str,
    by: str,
    rows: Sequence[Labelled],
    counted: tuple[int, int, int],
) -> None:
    right, said, wanted = counted
    precision, recall = right / max(1, said), right / max(1, wanted)
    f1 = 2 * right / max(1, said + wanted)
    table.add(name, half, by, len(rows), wanted, precision, recall, f1)


def by_rules(row: Labelled) -> Sequence[str]:
    """All that our rules say of a sentence's mention."""
    return assertion_of(row.text, row.start, row.end).said


def by_medspacy(python: str, rows: Sequence[Labelled]) -> tuple[Judge, str]:
    """What medSpaCy says of each of the sentences, and its version."""
    asked = "".join(json.dumps([row.text, row.start, row.end]) + "\n" for row in rows)
    done = subprocess.run(
        [python, "-m", "benchmarks.medspacy_says"],
        input=asked, capture_output=True, text=True, check=True,
    )  # fmt: skip
    version, *said = done.stdout.splitlines()
    known = {row: json.loads(line) for row, line in zip(rows, said, strict=True)}
    return known.__getitem__, version


def counts(label: str, rows: Sequence[Labelled], judge: Judge = by_rules) -> tuple[int, int, int]:
    """Said and labelled, said, labelled."""
    kind, has = ASKED[label]
    said = [kind in judge(row) for row in rows]
    wanted = [has(row) for row in rows]
    return sum(a and b for a, b in zip(said, wanted, strict=True)), sum(said), sum(wanted)


def labelled(data: Path) -> tuple[dict[str, list[Labelled]], int]:
    """The halves, and how many sentences do not hold their concept."""
    halves: dict[str, list[Labelled]] = {name: [] for name in HALVES}
    left = 0
    path = data / "notes" / "negex_context_sentences.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            _, _, concept, sentence, *labels = line.rstrip("\n").split("\t")
            if place := _place(concept, sentence):
                halves[half(sentence)].append(Labelled(sentence, *place, *labels))
            else:
                left += 1
    return halves, left


def _place(concept: str, sentence: str) -> tuple[int, int] | None:
    """The concept is written in capitals, most times; white space may differ."""
    for words, flags in ((concept.upper().split(), 0), (concept.split(), re.IGNORECASE)):
        if match := re.search(r"\s+".join(map(re.escape, words)), sentence, flags):
            return match.span()
    return None


def half(sentence: str) -> str:
    """On which side of the split a sentence stands."""
    plain = " ".join(sentence.lower().split())
    return "report" if hashlib.sha256(plain.encode()).digest()[0] % 2 else "dev"


if __name__ == "__main__":
    main()
