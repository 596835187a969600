"""A question to the things that it asks for, each with the names that a note may have for it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import Any

import numpy as np

from drehr_rag.generators._names import LONGEST, SHOUTED, names, stem, words
from drehr_rag.generators._thesaurus import Kind, Thesaurus, thesaurus

_STOP = frozenset(
    "a about after all also an and any are as at be because been before being but by can could did "
    "do does doing done during else ever for from get given go going got had has have he her hers "
    "him his how i if in into is it its itself just may me might more most much must my no not now "
    "of on once only or other our out over own patient patient's per same she should show showed "
    "shown so some still such take taken taking than that the their them then there these they "
    "this those to too turn under until up upon us use used very was way we well were what when "
    "where which while who whom whose why will with would you your yet man woman person currently "
    "so far went come came thing many one two".split()
)
"""Words that ask for nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that a question asks for.

    Attributes:
        name: As `plain` writes it.
        kind: What the thesaurus knows it as.
        ways: Names to look for in a note, and what finding them counts, from 0 to 1.
        stars: The same, for names with letters left open.
    """

    name: str = field(repr=False)
    kind: Kind
    ways: Mapping[str, float] = field(repr=False)
    stars: tuple[tuple[re.Pattern[str], float], ...] = field(repr=False)


def wanted(question: str) -> list[Wanted]:
    """What a question asks for, each once; the longest known names are one thing.

    >>> [one.name for one in wanted("Why was the water pill stopped?")]
    ['water pil', 'stop']
    """
    return list({name: _wanted(name) for name in _asked(question)}.values())


def found(asked: Sequence[Wanted], texts: Sequence[str]) -> Any:
    """How far each text has each thing, from 0 to 1: shape (texts, things)."""
    sought = _sought(asked)
    begun = {name.partition(" ")[0] for name in sought if " " in name}
    table = np.zeros((len(texts), len(asked)))
    for row, text in enumerate(texts):
        for name in names(text, begun):
            if name not in sought:
                sought[name] = _open(asked, name)
            for column, counts in sought[name]:
                table[row, column] = max(table[row, column], counts)
    return table


def _sought(asked: Sequence[Wanted]) -> dict[str, list[tuple[int, float]]]:
    """The things that each name speaks for, and what it counts."""
    sought: dict[str, list[tuple[int, float]]] = {}
    for column, one in enumerate(asked):
        for name, counts in one.ways.items():
            sought.setdefault(name, _open(asked, name)).append((column, counts))
    return sought


def _open(asked: Sequence[Wanted], name: str) -> list[tuple[int, float]]:
    """The same, of a word that fits a name with letters left open."""
    return [
        (column, counts)
        for column, one in enumerate(asked)
        for star, counts in one.stars
        if " " not in name and star.match(name)
    ]


def _asked(question: str) -> Iterator[str]:
    said, known = words(question), thesaurus()
    stems = [stem(word.lower()) for word in said]
    start = 0
    while start < len(said):
        for end in range(min(len(said), start + LONGEST), start, -1):
            name, alone = " ".join(stems[start:end]), end == start + 1
            if alone and _nothing(said[start], known):
                continue
            if alone or known.knows(name):
                yield name
                start = end - 1
                break
        start += 1


def _nothing(word: str, known: Thesaurus) -> bool:
    """Whether a word asks for nothing by itself: "hit" is heparin's harm in capitals alone."""
    small = word.lower()
    if len(small) == 1:
        return not known.knows(small)
    return small in _STOP or (word in SHOUTED and word in known.ordinary)


@lru_cache(maxsize=4096)
def _wanted(name: str) -> Wanted:
    known = thesaurus()
    ways = known.ways(name)
    stars = [(re.compile(translate(way)), ways.pop(way)) for way in list(ways) if "*" in way]
    return Wanted(name, known.kind(name), ways, tuple(stars))
