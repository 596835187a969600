"""Find a quote in its passage and say where it stands in the note."""

import re
from collections.abc import Sequence

from drehr_rag.types import Citation, Hit

MIN_QUOTE = 3
"""Characters; a shorter quote would be found anywhere."""


def cite(quote: str, passage: int, hits: Sequence[Hit]) -> Citation | None:
    """The citation of a quote, or None if its passage does not hold it.

    Args:
        quote: Compared without regard to case and to the kind of white space.
        passage: Number from 1.
        hits: The passages.
    """
    words = quote.split()
    if not 1 <= passage <= len(hits) or sum(map(len, words)) < MIN_QUOTE:
        return None
    chunk = hits[passage - 1].chunk
    pattern = r"\s+".join(re.escape(word) for word in words)
    # Whole words, so that "no PE" is not found in "no pericardial …".
    before = r"(?<!\w)" if re.match(r"\w", words[0]) else ""
    after = r"(?!\w)" if re.search(r"\w$", words[-1]) else ""
    found = re.search(f"{before}{pattern}{after}", chunk.source, re.IGNORECASE)
    if found is None:
        return None
    return Citation(
        note_id=chunk.note_id,
        patient_id=chunk.patient_id,
        section=chunk.section,
        start=chunk.start + found.start(),
        end=chunk.start + found.end(),
        quote=found[0],
        chunk_id=chunk.chunk_id,
        note_type=chunk.note_type,
        written_at=chunk.written_at,
    )
