"""What an ambiguous abbreviation means where it stands: by the words around it and the heading.

A sense's share is that of the letters as they are capitalised ("PT" is seldom the patient); each
cue, a word nearby or one of the heading, makes it likelier or less likely, as in naive Bayes.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from drehr_rag.errors import GraphError

AROUND = 10
"""Words before and behind an abbreviation that are looked at; chosen of 6, 10, 15, 25 and 50 on the
clusters of MTSamples that choose (docs/measurements.md)."""

NUMBER = "#"
"""Stands for any number: "PT 14.2" is no visit."""

HEADING = "§"
"""Stands before a word of the section's heading."""

SILENT = frozenset(
    "a an and as at be by for he her his in is it of on she that the this to was with".split()
)
"""Words that stand beside anything."""

MOST = 4.0
"""What all cues together may say at most: a logarithm, so fifty-five times as likely."""


@dataclass(frozen=True, slots=True)
class Cued:
    """A sense of an abbreviation.

    Attributes:
        names: Its full names, the most frequent first.
        share: Of the uses of the abbreviation as it is capitalised, from 0 to 1.
        cues: Word → logarithm of how many times as likely it makes this sense.
    """

    names: tuple[str, ...]
    share: float
    cues: Mapping[str, float]


class Senses:
    """Senses by abbreviation, for those that have several."""

    def __init__(self, file: str | Path) -> None:
        """Read a table: names, shares by spelling, cues (`benchmarks/senses.py` makes one).

        Raises:
            GraphError: It is missing or of another form.
        """
        self._senses: dict[str, list[Cued]] = defaultdict(list)
        self._shorts: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._cues: dict[str, set[str]] = defaultdict(set)
        try:
            for line in Path(file).read_text("utf-8").splitlines():
                names, shares, cues = line.split("\t")
                self._add(tuple(names.split("|")), _numbers(shares), _numbers(cues))
        except OSError as error:
            raise GraphError(f"{file} cannot be read: {error.strerror}") from error
        except ValueError:
            raise GraphError(
                f"{file} is no table of senses: lines are names, shares and cues, between tabs"
            ) from None

    def _add(
        self, names: tuple[str, ...], shares: dict[str, float], cues: dict[str, float]
    ) -> None:
        for short, share in shares.items():
            for name in names:
                self._shorts[name].append((short, len(self._senses[short])))
            self._senses[short].append(Cued(names, share, cues))
            self._cues[short] |= cues.keys()

    def __contains__(self, short: object) -> bool:
        """Whether an abbreviation is known, as it is capitalised."""
        return short in self._senses

    def of(self, short: str) -> Sequence[Cued]:
        """Senses of an abbreviation as it is capitalised; none if it is not known."""
        return self._senses.get(short, ())

    def shorts(self, name: str) -> Sequence[tuple[str, int]]:
        """How notes abbreviate a name in small letters, and which of their senses it is."""
        return self._shorts.get(name, ())

    def sense(self, short: str, names: Iterable[str]) -> int | None:
        """Which sense of an abbreviation has one of these names; None if none has."""
        own = (at for name in names for known, at in self.shorts(name.lower()) if known == short)
        return next(own, None)

    def shares(self, short: str, cues: Set[str] = frozenset()) -> list[float]:
        """How likely each sense is beside these cues, from 0 to 1; together one."""
        said = cues & self._cues.get(short, frozenset())
        worth = []
        for sense in self.of(short):
            told = math.fsum(sense.cues.get(cue, 0.0) for cue in said)  # in any order the same
            worth.append(sense.share * math.exp(max(-MOST, min(MOST, told))))
        total = sum(worth)
        return [one / total for one in worth]


def cues_of(words: Iterable[str], heading: Iterable[str] = ()) -> set[str]:
    """What folded words around an abbreviation, and those of the heading, tell.

    Each counts once.
    """
    near = {NUMBER if word.isdigit() else word for word in words if word not in SILENT}
    return near | {HEADING + word for word in heading if word not in SILENT}


def _numbers(column: str) -> dict[str, float]:
    pairs = (one.rpartition("=") for one in column.split(" ") if one)
    return {name: float(value) for name, _, value in pairs}
