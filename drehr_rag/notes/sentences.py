"""Sentences as offsets, for clinical prose and its lists.

A sentence ends at . ! or ? before white space and something that may start one (not after
"Dr." or "b.i.d."), at a blank line, and at a line break that starts a list item or that
follows a line too short to have been wrapped.
"""

import itertools
import re
from collections.abc import Iterator

_ABBREVIATIONS = frozenset(
    "dr mr mrs ms st vs no approx pt pts dept fig inc etc e.g i.e b.i.d t.i.d q.i.d q.d q.h.s "
    "p.o p.r.n i.v i.m a.m p.m m.d d.o ph.d r.n h.s p.r s.c s.l subq mg ml kg cm mm".split()
)
_MAY_END = frozenset("p.r.n b.i.d t.i.d q.i.d q.d q.h.s a.m p.m mg ml kg cm mm".split())
_STOP = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s)|\n")
_ITEM = re.compile(r"[ \t]*(?:[-*•+][ \t]|\d{1,2}[.)][ \t]|[A-Za-z][)][ \t]|#)")
_WRAPPED = 60
"""A line shorter than this was ended by its writer, not by a margin (MIMIC wraps near 80)."""
_NEAR = 200
"""Characters before a full stop that are looked at: with no bound a long line costs its square."""


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Offsets of the sentences in `text[start:end]`, outer white space left out.

    Every character that is not white space lies in exactly one sentence.
    """
    stop = len(text) if end is None else end
    edges = [start, *_edges(text, start, stop), stop]
    spans = (_trim(text, a, b) for a, b in itertools.pairwise(edges))
    return [span for span in spans if span]


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    return (start + left, start + right) if right > left else None


def _edges(text: str, start: int, stop: int) -> Iterator[int]:
    line_start = start
    for match in _STOP.finditer(text, start, stop):
        if match[0] != "\n":
            if _ends_sentence(text, match.start(), match.end(), stop):
                yield match.end()
            continue
        line = text[line_start : match.start()].strip()
        after = text[match.end() : match.end() + 8]
        blank = not after.strip(" \t") or after.lstrip(" \t").startswith("\n")
        if blank or _ITEM.match(after) or len(line) < _WRAPPED or line.endswith(":"):
            yield match.end()
        line_start = match.end()


def _ends_sentence(text: str, dot: int, after: int, stop: int) -> bool:
    near = max(0, dot - _NEAR)
    word_start = max(text.rfind(" ", near, dot), text.rfind("\n", near, dot), near - 1) + 1
    word = text[word_start:dot].lower().strip("(\"'")
    rest = text[after : min(after + 3, stop)].lstrip()
    if not rest:
        return True
    if text[dot] == "." and word.isdigit():
        line = text[max(text.rfind("\n", near, word_start) + 1, near) : word_start]
        if not line.strip():
            return False  # "1. Aspirin": the number of a list item
    if text[dot] == "." and (word in _ABBREVIATIONS or re.fullmatch(r"[a-z]", word)):
        return word in _MAY_END and rest[0].isupper()
    return not rest[0].islower()
