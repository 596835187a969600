"""One run of indexing: notes → chunks → vectors → store, in batches that survive a kill."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from drehr_rag.errors import NoNotes, NoteRejected
from drehr_rag.protocols import Chunker, Encoder, NoteStream
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores import ScopedStore
from drehr_rag.types import Chunk, IndexReport, Note, Reject

NOTES = 64
"""Notes read at a time."""

CHUNKS = 1024
"""Chunks encoded and written at a time: many of like length share a batch."""

Progress = Callable[[IndexReport], None]


class IndexingRun:
    """Reads a stream of notes into a store.

    A note counts as indexed when all its chunks bear its digest, so the store itself says what
    is left to do after an interruption; there is no second book to disagree with it.
    """

    def __init__(
        self,
        *,
        store: ScopedStore,
        encoder: Encoder,
        chunker: Chunker,
        rejects: Path,
        strict: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Keep the parts; nothing is read yet."""
        self._store = store
        self._encoder = encoder
        self._chunker = chunker
        self._rejects = rejects
        self._strict = strict
        self._progress = progress or (lambda report: None)
        self._seen = _SeenNotes()
        self._pending: list[tuple[str, list[Chunk], bool]] = []  # digest, chunks, replaces
        self._report = IndexReport()
        self._first_reason = ""
        self._cut_before = encoder.truncated

    def add(self, notes: NoteStream) -> IndexReport:
        """Index them all.

        Raises:
            NoNotes: There was not one note: no row at all, or every row was rejected.
            NoteRejected: In strict mode, at the first row that cannot be read; what came
                before it is kept.
        """
        started = perf_counter()
        report = self._report
        try:
            for rows in _batches(notes, NOTES):
                report.read += len(rows)
                self._queue([note for row in rows if (note := self._accept(row))])
                if sum(len(chunks) for _, chunks, _ in self._pending) >= CHUNKS:
                    self._flush()
                report.seconds = perf_counter() - started
                self._progress(report)
            self._flush()
        except NoteRejected:
            self._flush()
            raise
        finally:
            self._seen.close()
        if report.rejected == report.read:
            raise NoNotes(self._nothing())
        self._store.optimise()
        report.seconds = perf_counter() - started
        self._progress(report)
        return report

    def _nothing(self) -> str:
        if not self._report.read:
            return "there is no note to index"
        return (
            f"none of {self._report.read} rows is a note; the first: {self._first_reason} "
            f"(all are in {self._rejects})"
        )

    def _accept(self, row: Note | Reject) -> Note | None:
        if isinstance(row, Reject):
            self._reject(row)
            return None
        known = self._seen.digest(row.note_id, self._digest(row))
        if known == "new":
            return row
        if known == "same":
            self._report.unchanged += 1
        else:
            reason = "another note of this run has the same note_id and other content"
            self._reject(Reject("", None, reason, row.note_id))
        return None

    def _reject(self, row: Reject) -> None:
        where = f"{row.file}:{row.line}" if row.line else row.file or f"note {row.note_id}"
        if self._strict:
            raise NoteRejected(f"{where}: {row.reason}")
        self._first_reason = self._first_reason or f"{where}: {row.reason}"
        self._report.rejected += 1
        self._report.rejects_file = str(self._rejects)
        record = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "file": row.file,
            "line": row.line,
            "note_id": row.note_id,
            "reason": row.reason,
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self._rejects, flags, 0o600), "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _digest(self, note: Note) -> str:
        made_of = [note.model_dump(mode="json"), dict(self._chunker.settings)]
        return sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def _queue(self, notes: Sequence[Note]) -> None:
        """Set aside what is unchanged, cut the rest into chunks."""
        states = self._store.note_states([note.note_id for note in notes])
        todo: list[tuple[Note, str, bool]] = []
        for note in notes:
            digest, state = self._digest(note), states.get(note.note_id)
            if state and state.complete and state.digest == digest:
                self._report.unchanged += 1
            else:
                todo.append((note, digest, state is not None))
        for (note, digest, replaces), chunks in zip(
            todo, self._chunker.split([note for note, _, _ in todo]), strict=True
        ):
            if chunks:
                self._pending.append((digest, chunks, replaces))
            else:
                reason = "no words are left after cleaning"
                self._reject(Reject("", None, reason, note.note_id))

    def _flush(self) -> None:
        """Encode and write what is queued, then drop what it replaces."""
        pending, self._pending = self._pending, []
        chunks = [chunk for _, some, _ in pending for chunk in some]
        if not chunks:
            return
        texts = [chunk.text for chunk in chunks]
        started = perf_counter()
        dense = self._encoder.encode_passages(texts)
        self._report.encoding_seconds += perf_counter() - started
        digests = {some[0].note_id: (digest, len(some)) for digest, some, _ in pending}
        self._store.upsert(chunks, dense, sparse_passages(texts), digests)
        self._store.drop_stale(
            {some[0].note_id: digest for digest, some, replaces in pending if replaces}
        )
        replaced = sum(replaces for _, _, replaces in pending)
        self._report.replaced += replaced
        self._report.indexed += len(pending) - replaced
        self._report.chunks += len(chunks)
        self._report.truncated = self._encoder.truncated - self._cut_before


class _SeenNotes:
    """Ids and digests of a run's notes, on disk: a run of millions stays small in memory."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # a temporary file of SQLite's own
        self._table.execute("CREATE TABLE seen (note TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID")

    def digest(self, note_id: str, digest: str) -> str:
        """Note it down; returns "new", "same" or "other"."""
        row: Any = self._table.execute(
            "SELECT digest FROM seen WHERE note = ?", (note_id,)
        ).fetchone()
        if row is None:
            self._table.execute("INSERT INTO seen VALUES (?, ?)", (note_id, digest))
            return "new"
        return "same" if row[0] == digest else "other"

    def close(self) -> None:
        self._table.close()


def _batches(rows: Iterable[Note | Reject], size: int) -> Iterator[list[Note | Reject]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
