"""Find a quote in its passage and say where it stands in the note."""

from collections.abc import Sequence

from drehr_rag.qa.folding import fold
from drehr_rag.types import Chunk, Citation

MIN_QUOTE = 3
"""Characters; a shorter quote would be found anywhere."""

Span = tuple[int, int]


def quoted(quote: str, chunk: Chunk, refused: Sequence[Span] = ()) -> Citation | None:
    """The first place of a quote in a chunk that touches none of the refused stretches.

    Args:
        quote: Compared without regard to case, to the kind of white space, of quotation mark and
            of dash, and to characters that nobody sees.
        chunk: Where it is said to stand.
        refused: Stretches of `chunk.source` that prove nothing.
    """
    words = fold(quote).text
    if len(words.replace(" ", "")) < MIN_QUOTE:
        return None
    for start, end in fold(chunk.source).find(words):
        if not any(start < stop and begin < end for begin, stop in refused):
            return _citation(chunk, start, end)
    return None


def _citation(chunk: Chunk, start: int, end: int) -> Citation:
    return Citation(
        note_id=chunk.note_id,
        patient_id=chunk.patient_id,
        section=chunk.section,
        start=chunk.start + start,
        end=chunk.start + end,
        quote=chunk.source[start:end],
        chunk_id=chunk.chunk_id,
        note_type=chunk.note_type,
        written_at=chunk.written_at,
    )
