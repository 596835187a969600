"""LangChain's documents as our chunks, and back: what comes out equals what went in."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from langchain_core.documents import Document

from drehr_rag._arguments import check_list
from drehr_rag.errors import BadArgument
from drehr_rag.integrations._kept import HALF, KEPT, as_json, kept, storable
from drehr_rag.notes.sections import canonical
from drehr_rag.types import Chunk, Note, as_id, as_time

FIELDS = ("note_id", "patient_id", "encounter_id", "note_type", "section")
"""Fields of a chunk that stand in a document's metadata under the same name, where known; with
them `written_at` as ISO 8601 text, and `start` and `end` in the raw note."""


def to_document(chunk: Chunk) -> Document:
    """The passage as it was encoded, the chunk's id, and metadata.

    The metadata is that of the document it was, or else of the note, with where it stands there.
    """
    metadata = kept(chunk)
    if metadata is None:  # a copy: readers must not change a store in memory
        metadata = {**deepcopy(dict(chunk.metadata)), **fields_of(chunk)}
    return Document(id=chunk.chunk_id, page_content=chunk.text, metadata=metadata)


def fields_of(chunk: Chunk) -> dict[str, Any]:
    """What a chunk knows of itself, under the names that documents use."""
    fields: dict[str, Any] = {name: getattr(chunk, name) for name in FIELDS}
    fields["written_at"] = chunk.written_at.isoformat() if chunk.written_at else None
    fields |= {"start": chunk.start, "end": chunk.end}
    return {name: value for name, value in fields.items() if value is not None}


def note_document(note: Note) -> Document:
    """A note as a document: its id, its untouched text, and what is known of it."""
    known = note.model_dump(exclude={"text", "metadata", "mentions"}, exclude_none=True)
    fields = {n: v.isoformat() if isinstance(v, datetime) else v for n, v in known.items()}
    metadata = {**deepcopy(note.metadata), **fields}
    return Document(id=note.note_id, page_content=note.text, metadata=metadata)


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
    start, end = place(metadata, len(text))
    note_type, section = metadata.get("note_type"), metadata.get("section")
    return Chunk(
        chunk_id=chunk_id,
        note_id=note_id_of(document) or chunk_id,
        patient_id=_id(metadata, "patient_id"),
        encounter_id=_id(metadata, "encounter_id"),
        start=start,
        end=end,
        text=text,
        source=text,
        note_type=note_type if isinstance(note_type, str) else None,
        section=canonical(section) if isinstance(section, str) else None,
        written_at=_time(metadata),
        metadata={KEPT: as_json(metadata)},
    )


def listed(documents: Any) -> list[Document]:
    """A list, a generator or the like of documents, as a list.

    Raises:
        BadArgument: It is something else, or something in it is.
    """
    if isinstance(documents, Document | str) or not isinstance(documents, Iterable):
        raise BadArgument(f"documents is a list of documents, not {type(documents).__name__}")
    given = list(documents)
    for number, document in enumerate(given):
        if not isinstance(document, Document):
            raise BadArgument(f"documents[{number}] is {type(document).__name__}, not a Document")
    return given


def made_of(texts: Any, metadatas: Any) -> list[Document]:
    """Documents of texts and their metadata.

    Raises:
        BadArgument: One of them is no list, a text is none, or there are more of one than of the
            other.
    """
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise BadArgument(f"texts is a list of texts, not {type(texts).__name__}")
    given = list(texts)
    if metadatas is not None:
        check_list(metadatas, "metadatas")
    kept = [None] * len(given) if metadatas is None else list(metadatas)
    if len(kept) != len(given):
        raise BadArgument(f"{len(kept)} metadatas for {len(given)} texts")
    for number, text in enumerate(given):
        if not isinstance(text, str):
            raise BadArgument(f"texts[{number}] is {type(text).__name__}, not text")
    for number, metadata in enumerate(kept):
        if metadata is not None and not isinstance(metadata, dict):
            raise BadArgument(f"metadatas[{number}] is {type(metadata).__name__}, not a dict")
    return [
        Document(page_content=text, metadata=metadata or {})
        for text, metadata in zip(given, kept, strict=True)
    ]


def note_id_of(document: Document) -> str | None:
    """The note that a document names in its metadata.

    Raises:
        BadArgument: It is no id.
    """
    return _id(document.metadata, "note_id")


def place(metadata: Mapping[str, Any], length: int) -> tuple[int, int]:
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
