"""`EhrNoteLoader`: files of notes, by any of this package's readers, as LangChain's documents."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from drehr_rag.errors import NoNotes, NoteRejected
from drehr_rag.integrations._threads import in_threads
from drehr_rag.integrations.langchain._documents import note_document
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.types import Note, Reject

logger = logging.getLogger(__name__)


class EhrNoteLoader(BaseLoader):
    """One document a note: its untouched text, its id, and in the metadata whose it is.

    `lazy_load` reads as a stream. A row that cannot be read is set aside in `rejects`, with file,
    line and reason, and counted in the log when the stream ends.

    Args:
        path: A file or folder, plain or gzipped.
        format: A reader's name (`jsonl`, `csv`, `text`, `mimic3`, `mimic4`, `fhir`); recognised
            if not given.
        fields: Which column holds which field of a note.
        strict: Stop at the first row that cannot be read.

    Attributes:
        rejects: Of the last run.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        fields: Fields | None = None,
        strict: bool = False,
    ) -> None:
        """Nothing is read yet."""
        self.path = path
        self.format = format
        self.fields = fields
        self.strict = strict
        self.rejects: list[Reject] = []

    def lazy_load(self) -> Iterator[Document]:
        """Every note, as a stream.

        Raises:
            NoteRejected: In strict mode, at the first row that cannot be read.
            NoNotes: Not one row is a note.
        """
        rejects: list[Reject] = []
        self.rejects = rejects
        notes = 0
        for row in read_notes(self.path, format=self.format, fields=self.fields):
            if isinstance(row, Note):
                notes += 1
                yield note_document(row)
            elif self.strict:
                raise NoteRejected(_told(row))
            else:
                rejects.append(row)
        if not notes:
            raise NoNotes(f"none of {len(rejects)} rows is a note; the first: {_told(rejects[0])}")
        if rejects:
            logger.warning("%s: %d rows could not be read (see rejects)", self.path, len(rejects))

    async def alazy_load(self) -> AsyncIterator[Document]:
        """As `lazy_load`, off the event loop."""
        async for document in in_threads(self.lazy_load):
            yield document


def _told(row: Reject) -> str:
    return f"{row.file}:{row.line}: {row.reason}" if row.line else f"{row.file}: {row.reason}"
