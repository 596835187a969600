"""Chunks that never cross a section, keep sentences whole, and fit the encoder."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from drehr_rag._arguments import whole
from drehr_rag.notes.chunkers import CountTokens
from drehr_rag.notes.chunkers._chunk import make_chunk
from drehr_rag.notes.sections import split_sections
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.types import Chunk, Note, Section

TARGET_TOKENS = 160
"""Passage length of DR.EHR's training (PAPER.md section 1, "passage 160 tokens")."""

_WORD = re.compile(r"\S+")
_PIECE = 48
"""Characters of one unbroken "word" that are kept together when it must be cut."""

Span = tuple[int, int]


def build(
    *, count_tokens: CountTokens, max_tokens: int, target_tokens: int = TARGET_TOKENS
) -> "SectionChunker":
    """A section chunker within the encoder's limit."""
    return SectionChunker(
        count_tokens=count_tokens, max_tokens=max_tokens, target_tokens=target_tokens
    )


class SectionChunker:
    """Fills chunks with whole sentences of one section up to a number of tokens.

    A sentence alone over the limit is cut between words, so nothing is left for the encoder to
    cut unseen.

    Args:
        count_tokens: The encoder's own count, special tokens left out.
        max_tokens: The most that the encoder reads.
        target_tokens: Chunks are filled up to this, or to `max_tokens` if that is less.

    Raises:
        BadArgument: The target is no positive whole number.
    """

    def __init__(
        self, *, count_tokens: CountTokens, max_tokens: int, target_tokens: int = TARGET_TOKENS
    ) -> None:
        """Check the numbers."""
        whole(target_tokens, "target_tokens", 1)
        self.count_tokens = count_tokens
        self.limit = min(max_tokens, target_tokens)

    @property
    def settings(self) -> dict[str, Any]:
        """Name and token limit."""
        return {"chunker": "sections", "limit": self.limit}

    def split(self, notes: Sequence[Note]) -> list[list[Chunk]]:
        """The chunks of each note; the tokens of all are counted in one go."""
        parts = [
            (i, section, span)
            for i, note in enumerate(notes)
            for section in split_sections(note.text)
            for span in sentence_spans(note.text, section.start, section.end)
        ]
        counts = self.count_tokens([notes[i].text[a:b] for i, _, (a, b) in parts])
        chunks: list[list[Chunk]] = [[] for _ in notes]
        for i, section, start, end in self._filled(notes, parts, counts):
            chunks[i].append(
                make_chunk(
                    notes[i],
                    len(chunks[i]),
                    start,
                    end,
                    settings=self.settings,
                    section=section.title,
                )
            )
        return chunks

    def _filled(
        self,
        notes: Sequence[Note],
        parts: Sequence[tuple[int, Section, Span]],
        counts: Sequence[int],
    ) -> Iterator[tuple[int, Section, int, int]]:
        """(note, section, start, end) of each chunk."""
        open_: tuple[int, Section, int, int] | None = None
        used = 0
        for (i, section, (start, end)), count in zip(parts, counts, strict=True):
            if open_ and open_[0] == i and open_[1] is section and used + count <= self.limit:
                open_, used = (i, section, open_[2], end), used + count
                continue
            if open_:
                yield open_
            open_, used = (i, section, start, end), count
            if count > self.limit:
                pieces = list(self._cut(notes[i].text, start, end))
                for a, b in pieces[:-1]:
                    yield i, section, a, b
                open_, used = (i, section, *pieces[-1]), self.limit
        if open_:
            yield open_

    def _cut(self, text: str, start: int, end: int) -> Iterator[Span]:
        """Cut a sentence that is too long between words, if need be inside one."""
        atoms = list(_atoms(text, start, end))
        counts = self.count_tokens([text[a:b] for a, b in atoms])
        first, used = atoms[0][0], 0
        for ((_, before), (a, _)), count in zip(
            pairwise([(start, start), *atoms]), counts, strict=True
        ):
            parted = before == a  # parts of one word: joined, they have other tokens
            if used and (parted or used + count > self.limit):
                yield first, before
                first, used = a, 0
            used += count
        yield first, atoms[-1][1]


def _atoms(text: str, start: int, end: int) -> Iterator[Span]:
    for match in _WORD.finditer(text, start, end):
        for at in range(match.start(), match.end(), _PIECE):
            yield at, min(at + _PIECE, match.end())
