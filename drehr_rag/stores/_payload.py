"""A chunk as the payload of a point, and back."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drehr_rag.stores._where import key, timestamp
from drehr_rag.types import Chunk, Mention

SCHEMA = 1
"""Raised when what is stored changes its form."""

KEYWORDS = ("patient_id", "encounter_id", "note_id", "note_type_key", "section")
NUMBERS = ("written_ts",)
"""Fields with a payload index: every one that is filtered by. Chunk ids are not among them: points
are found by their own id, and an index of a million different strings takes 350 MB."""

FACETS = {
    "patient_id": "patient_id",
    "encounter_id": "encounter_id",
    "note_id": "note_id",
    "note_type": "note_type_key",
    "section": "section",
}
"""What can be counted by value, and the indexed field that holds it."""

_NAMESPACE = uuid.UUID("2f6b0d3e-2a8e-5c52-9f0c-6f1d3c1f7a55")
"""Made up once for this package; point ids are UUIDv5 in it."""


def point_id(chunk_id: str) -> str:
    """Qdrant's id of a chunk: it takes only integers and UUIDs."""
    return str(uuid.uuid5(_NAMESPACE, chunk_id))


def to_payload(chunk: Chunk, digest: str, of: int) -> dict[str, Any]:
    """What is stored beside the vectors; absent values are left out.

    Args:
        chunk: The chunk.
        digest: Of its note and the chunker's settings.
        of: How many chunks the note has.
    """
    written = chunk.written_at
    values = {
        "chunk_id": chunk.chunk_id,
        "note_id": chunk.note_id,
        "patient_id": chunk.patient_id,
        "encounter_id": chunk.encounter_id,
        "note_type": chunk.note_type,
        "note_type_key": key(chunk.note_type) if chunk.note_type else None,
        "section": chunk.section,
        "written_at": written.isoformat() if written else None,
        "written_ts": timestamp(written) if written else None,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "source": chunk.source if chunk.source != chunk.text else None,
        "metadata": dict(chunk.metadata) or None,
        "mentions": [[one.start, one.end, one.status] for one in chunk.mentions] or None,
        "digest": digest,
        "of": of,
    }
    return {name: value for name, value in values.items() if value is not None}


def to_chunk(payload: Mapping[str, Any]) -> Chunk:
    """The chunk that a payload was made from."""
    written = payload.get("written_at")
    return Chunk(
        chunk_id=payload["chunk_id"],
        note_id=payload["note_id"],
        patient_id=payload.get("patient_id"),
        start=payload["start"],
        end=payload["end"],
        text=payload["text"],
        source=payload.get("source", payload["text"]),
        encounter_id=payload.get("encounter_id"),
        note_type=payload.get("note_type"),
        section=payload.get("section"),
        written_at=datetime.fromisoformat(written) if written else None,
        metadata=payload.get("metadata", {}),
        mentions=tuple(Mention(*one) for one in payload.get("mentions", ())),
    )
