"""`EhrNoteReader`: files of notes, of every format that the core reads, as LlamaIndex documents."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.readers.base import BasePydanticReader
from llama_index.core.schema import Document

from drehr_rag.errors import NoNotes, NoteRejected
from drehr_rag.integrations._threads import in_thread
from drehr_rag.integrations.llama_index._nodes import exclusions, metadata_of
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.types import Note, Reject

logger = logging.getLogger(__name__)


class EhrNoteReader(BasePydanticReader):
    """Reads notes one by one; a document's id is the note's, its metadata say whose it is.

    Nothing of the metadata is embedded, and no patient id is shown to a language model. A row
    that cannot be read is logged by file, line and reason, and kept in `rejects`.

    Args:
        format: `jsonl`, `csv`, `text`, `mimic3`, `mimic4`, `fhir`; recognised if not given.
        fields: Which column holds which field of a note.
        strict: Stop at the first row that cannot be read.
    """

    model_config = ConfigDict(extra="forbid")

    format: str | None = None
    fields: Fields | None = Field(default=None, exclude=True)
    strict: bool = False
    _rejects: list[Reject] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names it."""
        return "EhrNoteReader"

    @property
    def rejects(self) -> list[Reject]:
        """The rows that the last reading could not read."""
        return list(self._rejects)

    def lazy_load_data(
        self, path: str | Path, *, extra_info: Mapping[str, Any] | None = None
    ) -> Iterator[Document]:
        """The notes of a file or folder, as a stream.

        Args:
            path: Plain or gzipped.
            extra_info: Further metadata of each document, as `SimpleDirectoryReader` gives them;
                what the notes say of themselves comes first.

        Raises:
            NoteError: The file is missing, damaged, or holds no note that can be read.
        """
        self._rejects = []
        read = 0
        for row in read_notes(path, format=self.format, fields=self.fields):
            if isinstance(row, Reject):
                self._reject(row)
            else:
                read += 1
                yield _document(row, extra_info or {})
        if not read:
            raise NoNotes(f"none of {len(self._rejects)} rows of {path} is a note: see rejects")

    def load_data(
        self, path: str | Path, *, extra_info: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """As `lazy_load_data`, all at once."""
        return list(self.lazy_load_data(path, extra_info=extra_info))

    async def aload_data(
        self, path: str | Path, *, extra_info: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """As `load_data`, off the event loop."""
        return await in_thread(self.load_data, path, extra_info=extra_info)

    async def alazy_load_data(
        self, path: str | Path, *, extra_info: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """As `aload_data`: LlamaIndex's own gives a stream whose reading blocks the loop."""
        return await self.aload_data(path, extra_info=extra_info)

    def _reject(self, row: Reject) -> None:
        where = f"{row.file}:{row.line}" if row.line else row.file
        if self.strict:
            raise NoteRejected(f"{where}: {row.reason}")
        logger.warning("%s: %s", where, row.reason)
        self._rejects.append(row)


def _document(note: Note, extra: Mapping[str, Any]) -> Document:
    metadata = {**extra, **metadata_of(note)}
    return Document(id_=note.note_id, text=note.text, metadata=metadata, **exclusions(metadata))
