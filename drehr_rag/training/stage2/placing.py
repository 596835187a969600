"""Which chunks of a note its labels go to; one whose place nobody knows is counted, not spread."""

import re
from collections.abc import Sequence

from drehr_rag.training.stage2.annotations._labels import Label
from drehr_rag.types import Chunk

MOSTLY = 2 / 3
"""Share of the longer words of a sentence about a note that a chunk must hold to be meant by it."""

LONGER = 4
"""Characters of a longer word."""

_WORD = re.compile(r"\w+")


def placed(labels: Sequence[Label], chunks: Sequence[Chunk]) -> tuple[list[list[Label]], int]:
    """The labels of each chunk of a note, and how many labels found no chunk.

    Args:
        labels: Of the note.
        chunks: All chunks of the note.
    """
    texts = [_joined(chunk.text) for chunk in chunks]
    of: list[list[Label]] = [[] for _ in chunks]
    nowhere = 0
    for label in labels:
        rows = [row for row in range(len(chunks)) if _belongs(label, chunks[row], texts[row])]
        if not rows and label.rule == "note" and len(chunks) == 1:
            rows = [0]
        nowhere += not rows
        for row in rows:
            of[row].append(label)
    return of, nowhere


def _belongs(label: Label, chunk: Chunk, text: str) -> bool:
    if label.rule == "span":
        return chunk.start <= label.start and label.end <= chunk.end
    if label.rule == "mostly":
        words = {w for w in _WORD.findall(label.text.casefold()) if len(w) >= LONGER}
        there = sum(f" {word} " in text for word in words)
        return bool(words) and there >= MOSTLY * len(words)
    wanted = _joined(label.text)
    return bool(wanted.strip()) and wanted in text


def _joined(text: str) -> str:
    """Its words between spaces, one before and one behind: what is found in it is whole words."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
