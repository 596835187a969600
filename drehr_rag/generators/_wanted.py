"""A question to the things that it asks for, each with the ways in which a note may put it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from drehr_rag.generators._thesaurus import SAME, thesaurus

LONGEST = 5
"""Words of a name."""

DEED, ASKING = 0.5, 0.25
"""Weight of a word for what is done ("stopped"), or of how questions are put ("result"), beside 1
for a thing. By judgement, not fitted."""

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

_SHOUTED = frozenset("or us er pr ms k na ca st ob all pe ra hit ray mi as ed".split())
"""Abbreviations that are words as well, or too short to be trusted but in capitals."""

_MONTHS = (
    "january february march april may june july august september october november december"
).split()

_WORD = re.compile(r"[a-z0-9]+(?:[.'/&-][a-z0-9]+)*")
_ENDINGS = ("ations", "ation", "ings", "ing", "ied", "ies", "ed", "es", "s")
_BEFORE, _AFTER = r"(?<![^\W_])", r"(?![^\W_])"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that a question asks for.

    Attributes:
        name: In small letters.
        weight: From 0 to 1: how much it says of what is asked for.
        ways: What to look for in a note, and what finding it counts; the best first.
    """

    name: str = field(repr=False)
    weight: float
    ways: tuple[tuple[re.Pattern[str], float], ...] = field(repr=False)

    def found(self, text: str) -> float:
        """From 0, not there, to 1: there, in the question's words or by another name."""
        return next((counts for way, counts in self.ways if way.search(text)), 0.0)


def wanted(question: str) -> list[Wanted]:
    """What a question asks for, each once; the longest known names are one thing.

    >>> [one.name for one in wanted("Why was the water pill stopped?")]
    ['water pill', 'stopped']
    """
    return list({name: _wanted(name) for name in _names(question)}.values())


def _names(question: str) -> Iterator[str]:
    said = _WORD.findall(question.lower().replace("\u2019", "'").replace("'s", ""))
    start = 0
    while start < len(said):
        for end in range(min(len(said), start + LONGEST), start, -1):
            name = " ".join(said[start:end])
            known = next((one for one in (name, _singular(name)) if thesaurus().knows(one)), None)
            alone = end == start + 1
            if alone and (name in _STOP or (len(name) == 1 and not known)):
                continue
            if known or alone:
                yield known or name
                start = end - 1
                break
        start += 1


@lru_cache(maxsize=4096)
def _wanted(name: str) -> Wanted:
    known = thesaurus()
    by_counts: dict[float, list[str]] = defaultdict(list)
    for way, counts in known.ways(name).items():
        by_counts[counts].append(_pattern(way))
    if name in _MONTHS:
        number = _MONTHS.index(name) + 1
        by_counts[SAME].append(rf"(?<![\d/])0?{number}/\d|-{number:02}(?:-|\b)")
    ways = [(re.compile("|".join(some)), counts) for counts, some in by_counts.items()]
    weight = ASKING if name in known.asking else DEED if known.deed(name) else 1.0
    return Wanted(name, weight, tuple(sorted(ways, key=lambda way: -way[1])))


def _pattern(name: str) -> str:
    """Finds a name with its endings; what could be another word, in capitals alone."""
    if name in _SHOUTED:
        return _BEFORE + name.upper() + _AFTER
    if name.isalpha() and len(name) > 4:
        endings = "|".join((*_ENDINGS, "e", "y", "t", "d"))
        return rf"(?i:{_BEFORE}{_stem(name)}(?:{endings})?{_AFTER})"
    body = r"\w*".join(re.escape(part) for part in name.split("*")).replace(r"\ ", r"[\s-]+")
    return rf"(?i:{_BEFORE}{body}s?{_AFTER})"


def _singular(name: str) -> str:
    return name[:-1] if len(name) > 3 and name[-1] == "s" and name[-2] not in "siu" else name


def _stem(word: str) -> str:
    """At least four letters stay."""
    for ending in (*_ENDINGS, "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
