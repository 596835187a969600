"""The names of one thing, and what is of a kind (`clinical_*.txt`)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from drehr_rag.generators._names import plain, stem

FILES = ("clinical_words.txt", "clinical_conditions.txt", "clinical_doings.txt")
ORDINARY = "ordinary_words.txt"

Kind = Literal["thing", "deed", "asking", "ordinary", "unknown"]
"""unknown: a rare word that is in no line, so perhaps a thing."""

SAME, NARROWER, BROADER = 1.0, 0.7, 0.2
"""What finding another name, something of the kind, or the kind counts, beside 1 for the words
asked for. By judgement; the kind counted .4 until absent questions were answered by it."""


@dataclass(frozen=True, slots=True)
class Thesaurus:
    """Lines by name, names by line, as `plain` writes them.

    Attributes:
        names: Of each line, those of one thing.
        under: Of each line, what is of that kind; with a star for letters.
        heads: Lines whose thing bears a name.
        members: Lines that have a name under them.
        deeds: The first line that tells what is done, not what there is.
        asking: What questions are put with; says next to nothing.
        ordinary: Words of everyday English.
    """

    names: tuple[tuple[str, ...], ...]
    under: tuple[tuple[str, ...], ...]
    heads: Mapping[str, tuple[int, ...]]
    members: Mapping[str, tuple[int, ...]]
    deeds: int
    asking: frozenset[str]
    ordinary: frozenset[str]

    def knows(self, name: str) -> bool:
        """Whether it is in a line."""
        return name in self.heads or name in self.members or name in self.asking

    def kind(self, name: str) -> Kind:
        """What it is known as."""
        if name in self.asking:
            return "asking"
        if lines := (*self.heads.get(name, ()), *self.members.get(name, ())):
            return "deed" if min(lines) >= self.deeds else "thing"
        return "ordinary" if name in self.ordinary or name.isdigit() else "unknown"

    def ways(self, name: str) -> dict[str, float]:
        """What to look for where this is asked for, and what finding it counts."""
        found = {name: SAME}
        kinds = set(self.members.get(name, ()))
        for line in self.heads.get(name, ()):
            _add(found, self.names[line], SAME)
            kinds.update(kind for one in self.names[line] for kind in self.members.get(one, ()))
            for member in self.under[line]:
                _add(found, (member, *self._also(member)), NARROWER)
        for line in kinds:
            _add(found, self.names[line], BROADER)
        return found

    def _also(self, name: str) -> Iterator[str]:
        """Its other names."""
        for line in self.heads.get(name, ()):
            if not self.under[line]:
                yield from self.names[line]


def _add(found: dict[str, float], names: Sequence[str], counts: float) -> None:
    for name in names:
        found[name] = max(counts, found.get(name, 0.0))


@cache
def thesaurus() -> Thesaurus:
    """That of the package, read once."""
    parts: dict[str, list[str]] = {"[things]": [], "[deeds]": [], "[asking]": []}
    for name in FILES:
        part = "[things]"
        for line in _lines(name):
            if line in parts:
                part = line
            else:
                parts[part].append(line)
    rows = [line.partition(">") for line in parts["[things]"] + parts["[deeds]"]]
    names = tuple(_split(left) for left, _, _ in rows)
    under = tuple(_split(right) for _, _, right in rows)
    asking = frozenset(word for line in parts["[asking]"] for word in _split(line))
    deeds = len(parts["[things]"])
    ordinary = frozenset(stem(word) for line in _lines(ORDINARY) for word in line.split())
    return Thesaurus(names, under, _lines_by(names), _lines_by(under), deeds, asking, ordinary)


def _lines(name: str) -> Iterator[str]:
    for line in files(__package__).joinpath(name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(plain, text.split(",")))))


def _lines_by(rows: Sequence[Sequence[str]]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = defaultdict(list)
    for line, some in enumerate(rows):
        for name in some:
            found[name].append(line)
    return {name: tuple(lines) for name, lines in found.items()}
