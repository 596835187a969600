"""Words without which a regular expression cannot match: looking for them is much faster."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


@dataclass(frozen=True, slots=True)
class Rules:
    """Regular expressions, each with the words that it needs; without any it is always possible.

    Attributes:
        patterns: All of them.
        words: Of each, those of which at least one stands in what it matches.
        always: Those that need no word, by their places.
        needing: Those that a word makes possible, by their places.
    """

    patterns: tuple[re.Pattern[str], ...]
    words: tuple[frozenset[str], ...] = field(repr=False)
    always: frozenset[int] = field(repr=False)
    needing: Mapping[str, frozenset[int]] = field(repr=False)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "Rules":
        """Compiled, their words found."""
        given = tuple(patterns)
        words = tuple(map(needed, given))
        known: frozenset[str] = frozenset().union(*words)
        needing = {
            word: frozenset(place for place, some in enumerate(words) if word in some)
            for word in known
        }
        always = frozenset(place for place, some in enumerate(words) if not some)
        return cls(tuple(map(re.compile, given)), words, always, needing)

    def among(self, text: str) -> "Rules":
        """With only the words that stand in the text: fewer to look for in each of its parts."""
        there = {word: places for word, places in self.needing.items() if word in text}
        return replace(self, needing=there)

    def possible(self, text: str) -> list[re.Pattern[str]]:
        """Those that may match in the text, or in a part of it."""
        there = [places for word, places in self.needing.items() if word in text]
        return [self.patterns[place] for place in sorted(self.always.union(*there))]


def needed(pattern: str) -> frozenset[str]:
    """Of these at least one stands in everything that matches; none if that cannot be said."""
    parsed = _parser.parse(pattern)
    if parsed.state.flags & re.IGNORECASE:
        return frozenset()
    return _best(_needed_by(parsed))


def _needed_by(items: Iterable[tuple[Any, Any]]) -> list[frozenset[str]]:
    """One set for each part that is always there."""
    found: list[frozenset[str]] = []
    letters = ""
    for kind, what in [*items, (None, None)]:
        if kind is _constants.LITERAL:
            letters += chr(what)
            continue
        if letters:
            found.append(frozenset([letters]))
        letters = ""
        if kind is _constants.BRANCH:
            found.append(_any_of([_best(_needed_by(branch)) for branch in what[1]]))
        elif kind is _constants.SUBPATTERN:
            found.append(_best(_needed_by(what[-1])))
        elif kind is _constants.ATOMIC_GROUP:
            found.append(_best(_needed_by(what)))
        elif kind in _REPEATS and what[0]:
            found.append(_best(_needed_by(what[2])))
    return found


def _any_of(branches: Sequence[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*branches) if all(branches) else frozenset()


def _best(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """That whose shortest word is longest: the rarest."""
    return max(filter(None, sets), key=lambda words: min(map(len, words)), default=frozenset())
