"""Texts taken apart at white space: most pieces were met before, and their codes are at hand."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from drehr_rag.kg._records import Mention
from drehr_rag.kg._words import Words

MOST = 32_768
"""Pieces whose codes are kept; a few megabytes."""

_EMPTY_LINE = re.compile(r"\n\s*\n")
_PIECE = re.compile(r"\S+")

Found = Sequence[tuple[int, int, int]]


class Chunks(dict[str, str]):
    """Code of each piece between spaces that was met lately, with the space behind it.

    In released mode only a space parts pieces. Otherwise any run of white space is one space, but
    an empty line, which no term goes across.
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words
        self._inner: dict[str, list[int]] = {}

    def __missing__(self, piece: str) -> str:
        code = self._words.encode(piece) + self._words.space
        if len(self) >= MOST:
            self.clear()
            self._inner.clear()
        self[piece] = code
        return code

    def paragraphs(self, low: str) -> Iterator[tuple[int, str]]:
        """The parts of a text between empty lines, with their places."""
        begin = 0
        if not self._words.released and "\n" in low:
            for gap in _EMPTY_LINE.finditer(low):
                yield begin, low[begin : gap.start()]
                begin = gap.end()
        yield begin, low[begin:] if begin else low

    def split(self, low: str) -> list[str]:
        """The pieces of a paragraph."""
        return low.split(" ") if self._words.released else low.split()

    def encode(self, pieces: Sequence[str]) -> list[str]:
        """Their codes; together they are the paragraph's."""
        return list(map(self.__getitem__, pieces))

    def mentions(
        self,
        base: int,
        low: str,
        pieces: Sequence[str],
        codes: Sequence[str],
        found: Found,
        numbers: Sequence[int],
    ) -> list[Mention]:
        """Where that stands which was found in the code of the paragraph at `base`."""
        coded = list(accumulate(map(len, codes), initial=0))
        starts = list(accumulate(map(len, pieces), initial=0))  # as if there were no spaces
        if starts[-1] + len(pieces) != len(low) + 1:  # not each gap is one space
            starts = [piece.start() - n for n, piece in enumerate(_PIECE.finditer(low))]
        at, placed = 0, []
        for begin, end, number in found:
            at = bisect_right(coded, begin, at) - 1
            inner = begin - coded[at]
            start = base + starts[at] + at + (self._edges(pieces[at])[inner] if inner else 0)
            at = bisect_right(coded, end - 1, at) - 1
            inner, piece = end - coded[at], pieces[at]
            past = len(piece) if inner == len(codes[at]) - 1 else self._edges(piece)[inner]
            placed.append(Mention(start, base + starts[at] + at + past, numbers[number]))
        return placed

    def _edges(self, piece: str) -> list[int]:
        """Where in a piece each character of its code stands."""
        edges = self._inner.get(piece)
        if edges is None:
            edges = self._inner[piece] = self._words.edges(piece)
        return edges
