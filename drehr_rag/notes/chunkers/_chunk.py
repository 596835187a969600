"""Make a chunk of a stretch of a note, with an id that follows from what it is made of."""

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from drehr_rag.types import Chunk, Mention, Note


def make_chunk(
    note: Note,
    number: int,
    start: int,
    end: int,
    *,
    settings: Mapping[str, Any],
    text: str | None = None,
    section: str | None = None,
) -> Chunk:
    """The chunk `note.text[start:end]`; `text` is what is encoded, if that differs.

    Its id is `<note_id>_<number>_<digest>`, the digest over settings, place and content.
    """
    source = note.text[start:end]
    passage = source if text is None else text
    made_of = json.dumps([note.note_id, dict(settings), start, end, passage], sort_keys=True)
    return Chunk(
        chunk_id=f"{note.note_id}_{number}_{sha256(made_of.encode()).hexdigest()[:8]}",
        note_id=note.note_id,
        patient_id=note.patient_id,
        start=start,
        end=end,
        text=passage,
        source=source,
        encounter_id=note.encounter_id,
        note_type=note.note_type,
        section=section,
        written_at=note.written_at,
        metadata=note.metadata,
        mentions=_within(note.mentions, start, end) if note.mentions else (),
    )


def _within(mentions: Sequence[Mention], start: int, end: int) -> tuple[Mention, ...]:
    """Those that lie wholly in a stretch; they stand in order."""
    first = bisect_left(mentions, start, key=lambda one: one.start)
    last = bisect_left(mentions, end, key=lambda one: one.start)
    return tuple(one for one in mentions[first:last] if one.end <= end)
