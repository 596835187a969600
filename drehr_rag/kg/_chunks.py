"""Texts taken apart at white space: most pieces were met before, and their codes are at hand."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from drehr_rag.kg._words import Words

MOST = 32_768
"""Pieces whose codes are kept; a few megabytes."""

_EMPTY_LINE = re.compile(r"\n\s*\n")
_PIECE = re.compile(r"\S+")

Found = Sequence[tuple[int, int, int]]


class Chunks(dict[str, str]):
    """Code of each piece between spaces that was met lately.

    In released mode only a space parts pieces. Otherwise any run of white space is one space, but
    an empty line, which no term goes across.
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def __missing__(self, piece: str) -> str:
        code = self._words.encode(piece)
        if len(self) >= MOST:
            self.clear()
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
        """Their codes; joined by `Words.space`, they are the paragraph's."""
        return list(map(self.__getitem__, pieces))

    def places(
        self, low: str, pieces: Sequence[str], codes: Sequence[str], found: Found
    ) -> Iterator[tuple[int, int, int]]:
        """Where in the paragraph that stands which was found in its code."""
        coded = list(accumulate([len(code) + 1 for code in codes], initial=0))
        starts = list(accumulate([len(piece) + 1 for piece in pieces], initial=0))
        if starts[-1] != len(low) + 1:  # not each gap is one space
            starts = [piece.start() for piece in _PIECE.finditer(low)]
        at = 0
        for begin, end, number in found:
            at = bisect_right(coded, begin, at) - 1
            inner = begin - coded[at]
            start = starts[at] + (self._words.within(pieces[at], inner) if inner else 0)
            at = bisect_right(coded, end - 1, at) - 1
            inner, piece = end - coded[at], pieces[at]
            whole = inner == len(codes[at])
            yield (
                start,
                starts[at] + (len(piece) if whole else self._words.within(piece, inner)),
                number,
            )
