"""LangChain's documents as our chunks, and back: what comes out equals what went in."""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from langchain_core.documents import Document

from drehr_rag.errors import BadArgument
from drehr_rag.notes.sections import canonical
from drehr_rag.types import Chunk, as_id, as_time

FIELDS = ("note_id", "patient_id", "encounter_id", "note_type", "section")
"""Fields of a chunk that stand in a document's metadata under the same name, where known; with
them `written_at` as ISO 8601 text, and `start` and `end` in the raw note."""

KEPT = "langchain_document"
"""Where a chunk that was a document keeps the document's metadata: as JSON text, since one in eight
numbers with a fraction comes out of Qdrant's engine changed in its last digit (measured)."""

HALF = "holds half of a surrogate pair, which cannot be stored"


def to_document(chunk: Chunk) -> Document:
    """The passage as it was encoded, the chunk's id, and metadata.

    The metadata is that of the document it was, or else of the note, with where it stands there.
    """
    kept = chunk.metadata.get(KEPT)
    if kept is not None:
        metadata = json.loads(kept)
    else:  # a copy: readers must not change a store in memory
        metadata = {**deepcopy(dict(chunk.metadata)), **fields_of(chunk)}
    return Document(id=chunk.chunk_id, page_content=chunk.text, metadata=metadata)


def fields_of(chunk: Chunk) -> dict[str, Any]:
    """What a chunk knows of itself, under the names that documents use."""
    fields: dict[str, Any] = {name: getattr(chunk, name) for name in FIELDS}
    fields["written_at"] = chunk.written_at.isoformat() if chunk.written_at else None
    fields |= {"start": chunk.start, "end": chunk.end}
    return {name: value for name, value in fields.items() if value is not None}


def to_chunk(document: Document, chunk_id: str) -> Chunk:
    """The chunk that stands for a document.

    Whose it is, and which note it belongs to, is read from its metadata (`patient_id`,
    `encounter_id`, `note_id`); a document that names no note is one by itself.

    Raises:
        BadArgument: It holds no text, an id that is none, or what cannot be stored.
    """
    text, metadata = document.page_content, document.metadata
    if not text.strip():
        raise BadArgument("holds no text: leave it out")
    if not storable(text):
        raise BadArgument(f"its text {HALF}")
    start, end = _place(metadata, len(text))
    note_type, section = metadata.get("note_type"), metadata.get("section")
    return Chunk(
        chunk_id=chunk_id,
        note_id=_id(metadata, "note_id") or chunk_id,
        patient_id=_id(metadata, "patient_id"),
        encounter_id=_id(metadata, "encounter_id"),
        start=start,
        end=end,
        text=text,
        source=text,
        note_type=note_type if isinstance(note_type, str) else None,
        section=canonical(section) if isinstance(section, str) else None,
        written_at=_time(metadata),
        metadata={KEPT: _as_json(metadata)},
    )


def storable(text: str) -> bool:
    """Whether it is text all through; half of a surrogate pair is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(metadata: Mapping[str, Any], length: int) -> tuple[int, int]:
    """`start` and `end` in the note where they are offsets of this very text, else in itself."""
    start, end = metadata.get("start"), metadata.get("end")
    if isinstance(start, int) and isinstance(end, int) and 0 <= start == end - length:
        return start, end
    return 0, length


def _id(metadata: Mapping[str, Any], name: str) -> str | None:
    if metadata.get(name) is None:
        return None
    try:
        return as_id(metadata[name])
    except ValueError as problem:
        raise BadArgument(f"{name} in metadata {problem}") from None


def _time(metadata: Mapping[str, Any]) -> Any:
    try:
        return as_time(metadata.get("written_at"))
    except ValueError as problem:
        raise BadArgument(f"written_at in metadata {problem}") from None


def _as_json(metadata: Mapping[Any, Any]) -> str:
    """JSON text from which equal metadata can be read."""
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise BadArgument(f"metadata has a key that is {type(key).__name__}, not text")
        if not _survives(key) or not _survives(value):
            raise BadArgument(
                f"metadata[{key!r}] ({type(value).__name__}) is or holds what JSON cannot hold as "
                "it is: make it text, a finite number, or a list or dict (with text for keys)"
            )
    return json.dumps(metadata, ensure_ascii=False)


def _survives(value: object) -> bool:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return storable(text) and _same(json.loads(text), value)
    except (TypeError, ValueError, RecursionError):
        return False


def _same(back: Any, given: Any) -> bool:
    """Equal, and nothing has become something else, such as a tuple a list."""
    if isinstance(back, dict) and isinstance(given, dict):
        return back.keys() == given.keys() and all(_same(back[k], v) for k, v in given.items())
    if isinstance(back, list) and isinstance(given, list):
        return all(map(_same, back, given))
    return isinstance(given, type(back)) and bool(back == given)
