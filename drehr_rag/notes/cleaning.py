"""The two published cleanings, as pieces of text with offsets into the raw text.

The rules are those of the authors' preprocessing (`PAPER.md` sections 1 and 2): each replaces
what it matches by nothing or by a space, one after the other, and words are what white space then
separates.
"""

import re
from dataclasses import dataclass
from typing import Literal

Cleaning = Literal["dr_ehr", "cliniq"]

DEIDENTIFIED = re.compile(r"\[.*?\]")
"""MIMIC-III's marks, `[**2151-7-16**]`, on one line; both cleanings drop them."""

UNDERSCORES = re.compile(r"_{3,}")
"""MIMIC-IV's marks, `___`."""

REPEATED = re.compile(r"(\W)\1+")
"""A run of one non-word character ("=====", ">>"): dropped by DR.EHR, kept by CliniQ."""

_RULES: dict[str, tuple[tuple[re.Pattern[str], bool], ...]] = {
    "dr_ehr": ((DEIDENTIFIED, False), (UNDERSCORES, True), (REPEATED, True)),
    "cliniq": ((DEIDENTIFIED, False),),
}
"""Pattern, and whether a space takes its place."""

_PIECES = {"dr_ehr": re.compile(r"\S+"), "cliniq": re.compile(r"[^ \n]+")}
"""DR.EHR squeezes all white space; CliniQ only spaces and new lines, so a tab stays inside."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What lies between two spaces after cleaning, and where it stands in the raw text.

    It is one word, but for CliniQ's cleaning next to a tab or another rare white space. Where a
    mark inside a word was deleted ("Dr.[**Name**]Lee" → "Dr.Lee"), the span reaches over the mark.
    """

    text: str
    start: int
    end: int


def clean_pieces(text: str, cleaning: Cleaning) -> list[Piece]:
    """The pieces of a text after cleaning, in order."""
    left = text
    places: list[int] = list(range(len(text)))
    for pattern, spaced in _RULES[cleaning]:
        left, places = _replace(left, places, pattern, " " if spaced else "")
    return [
        Piece(match[0], places[match.start()], places[match.end() - 1] + 1)
        for match in _PIECES[cleaning].finditer(left)
    ]


def _replace(
    text: str, places: list[int], pattern: re.Pattern[str], by: str
) -> tuple[str, list[int]]:
    """Text after one rule, and for each of its characters the place in the raw text."""
    pieces: list[str] = []
    kept: list[int] = []
    done = 0
    for match in pattern.finditer(text):
        pieces += (text[done : match.start()], by)
        kept += places[done : match.start()]
        kept += places[match.start() : match.start() + len(by)]
        done = match.end()
    if not done:
        return text, places
    return "".join((*pieces, text[done:])), kept + places[done:]
