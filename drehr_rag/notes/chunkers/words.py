"""Chunks of 100 words with an overlap of 10, exactly as DR.EHR and CliniQ cut them."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from drehr_rag._arguments import whole
from drehr_rag.errors import UnknownName
from drehr_rag.notes.chunkers import CountTokens
from drehr_rag.notes.chunkers._chunk import make_chunk
from drehr_rag.notes.cleaning import Cleaning, Piece, clean_pieces
from drehr_rag.types import Chunk, Note

SIZE = 100
OVERLAP = 10
"""Both of the paper's preprocessing (PAPER.md section 1, stage 1, and section 2)."""


def build(
    *,
    count_tokens: CountTokens,
    max_tokens: int,
    cleaning: Cleaning = "dr_ehr",
    size: int = SIZE,
    overlap: int = OVERLAP,
) -> "WordChunker":
    """A word chunker. The encoder's limit plays no part: it cuts where the paper cuts."""
    return WordChunker(cleaning=cleaning, size=size, overlap=overlap)


class WordChunker:
    """Windows over the cleaned words of the whole note; sections are not looked at.

    Args:
        cleaning: `dr_ehr` or `cliniq`.
        size: Words per chunk.
        overlap: Words that a chunk shares with the one before it.

    Raises:
        UnknownName: No cleaning has this name.
        BadArgument: Size or overlap is no whole number.
        ValueError: The overlap is not smaller than the size.
    """

    def __init__(
        self, *, cleaning: Cleaning = "dr_ehr", size: int = SIZE, overlap: int = OVERLAP
    ) -> None:
        """Check the numbers."""
        if cleaning not in get_args(Cleaning):
            raise UnknownName(f"no cleaning is called {cleaning!r}: dr_ehr or cliniq")
        whole(size, "size", 1)
        whole(overlap, "overlap", 0)
        if overlap >= size:
            raise ValueError(f"overlap {overlap} must be from 0 to below the size {size}")
        self.cleaning: Cleaning = cleaning
        self.size = size
        self.overlap = overlap

    @property
    def settings(self) -> dict[str, Any]:
        """Name, cleaning, size and overlap."""
        return {
            "chunker": "words",
            "cleaning": self.cleaning,
            "size": self.size,
            "overlap": self.overlap,
        }

    def split(self, notes: Sequence[Note]) -> list[list[Chunk]]:
        """The chunks of each note."""
        return [list(self._chunks(note)) for note in notes]

    def _chunks(self, note: Note) -> Iterator[Chunk]:
        windows = self._windows(clean_pieces(note.text, self.cleaning))
        for number, window in enumerate(windows):
            yield make_chunk(
                note,
                number,
                window[0].start,
                window[-1].end,
                settings=self.settings,
                text=" ".join(piece.text for piece in window).strip(),
            )

    def _windows(self, pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
        """Pieces up to `size` words; the next window begins with the last `overlap` of them."""
        window: deque[Piece] = deque()
        used = 0
        for piece in pieces:
            words = len(piece.text.split())
            if used and used + words > self.size:
                yield list(window)
                while used > self.overlap or (used and used + words > self.size):
                    used -= len(window.popleft().text.split())
            window.append(piece)
            used += words
        if any(piece.text.strip() for piece in window):
            yield list(window)
