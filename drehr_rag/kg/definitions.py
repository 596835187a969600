"""Abbreviations that a note defines itself: "atrial fibrillation (AF)", "AF (atrial fibrillation)".

After Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in
biomedical text", Pacific Symposium on Biocomputing 2003; numbers below are theirs. Ours is that a
short form has a capital or a digit and no odd mark, and that a long form does not begin with a word
like "of": in MTSamples that was wrong each time ("of blindness (OS)").
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_SHORT = 10
"""Characters of a short form, and two words at most."""

_PARENTHESIS = re.compile(r"\(([^()\n]{2,200})\)")
_SENTENCE = re.compile(r"[.;:!?]\s|\n\s*\n|[()]")
_SHORT = re.compile(r"[\w./&+-]+(?: [\w./&+-]+)?")
_FUNCTION = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "no", "of", "on", "or"}
_FUNCTION |= {"that", "the", "this", "to", "was", "with"}
_WORD = re.compile(r"\S+")


class Definition(NamedTuple):
    """A short and a long form, each with its place in the text."""

    short: str
    long: str
    short_start: int
    long_start: int


def own_definitions(text: str) -> list[Definition]:
    """Every abbreviation that the text explains in or before parentheses, in order."""
    return [found for match in _PARENTHESIS.finditer(text) if (found := _definition(text, match))]


def _definition(text: str, match: re.Match[str]) -> Definition | None:
    inner, inner_start = match[1].strip(), match.start(1)
    inner_start += len(match[1]) - len(match[1].lstrip())
    short = re.split(r"[,;]\s", inner)[0]
    before = _before(text, match.start())
    if _is_short(short):
        window = before[-min(len(short) + 5, 2 * len(short)) :]
        return _pair(text, short, inner_start, window)
    if before and _is_short(before[-1][0]):
        short, place = before[-1]
        most = min(len(short) + 5, 2 * len(short))
        words = list(_words(inner, inner_start))
        if len(words) <= most:
            return _pair(text, short, place, words, whole=True)
    return None


def _before(text: str, end: int) -> list[tuple[str, int]]:
    """The words of the sentence up to `end`, with their places."""
    first = max(0, end - 300)
    stops = [stop.end() for stop in _SENTENCE.finditer(text, first, end)]
    begin = stops[-1] if stops else first
    return list(_words(text[begin:end], begin))


def _words(text: str, at: int) -> Iterator[tuple[str, int]]:
    return ((word[0], at + word.start()) for word in _WORD.finditer(text))


def _is_short(word: str) -> bool:
    return (
        2 <= len(word) <= LONGEST_SHORT
        and _SHORT.fullmatch(word) is not None
        and word[0].isalnum()
        and any(map(str.isalpha, word))
        and word != word.lower()
    )


def _pair(
    text: str, short: str, place: int, words: list[tuple[str, int]], *, whole: bool = False
) -> Definition | None:
    if not words:
        return None
    begin, end = words[0][1], words[-1][1] + len(words[-1][0])
    start = _best(short.lower(), text[begin:end].lower())
    if start is None or (whole and start != 0):
        return None
    long = text[begin + start : end].strip(" ,")
    if long.split(maxsplit=1)[:1] and long.split()[0].lower() in _FUNCTION:
        return None
    if len(long) <= len(short) or short.lower() in long.lower().split():
        return None
    return Definition(short, " ".join(long.split()), place, begin + start)


def _best(short: str, long: str) -> int | None:
    """Where the shortest long form begins; None if there is none.

    Every letter of `short` is found in order, from the right, the first at a word's beginning.
    """
    place = len(long)
    for number in range(len(short) - 1, -1, -1):
        letter = short[number]
        if not letter.isalnum():
            continue
        place -= 1
        while place >= 0 and (
            long[place] != letter or (number == 0 and place > 0 and long[place - 1].isalnum())
        ):
            place -= 1
        if place < 0:
            return None
    return place
