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

from drehr_rag.errors import BadArgument, NoNotes, NoteRejected
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
        """Keep the parts; nothing is read yet.

        Raises:
            BadArgument: The file for rejects cannot be written.
        """
        self._store = store
        self._encoder = encoder
        self._chunker = chunker
        self._rejects = _writable(rejects)
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
                self._read(rows)
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

    def _read(self, rows: Sequence[Note | Reject]) -> None:
        accepted: list[tuple[Note, str]] = []
        try:
            for row in rows:
                self._report.read += 1
                if some := self._accept(row):
                    accepted.append(some)
        finally:  # in strict mode the notes before a bad row are kept
            self._queue(accepted)

    def _nothing(self) -> str:
        if not self._report.read:
            return "there is no note to index"
        return (
            f"none of {self._report.read} rows is a note; the first: {self._first_reason} "
            f"(all are in {self._rejects})"
        )

    def _accept(self, row: Note | Reject) -> tuple[Note, str] | None:
        """The note and its digest, unless it is no note or was there before."""
        if isinstance(row, Reject):
            self._reject(row)
            return None
        if not isinstance(row, Note):
            raise BadArgument(f"notes are Note objects, not {type(row).__name__}")
        digest, place = self._digest(row), _place(row)
        known = self._seen.first(row.note_id, digest, place)
        if known is None:
            return row, digest
        if known[0] == digest:
            self._report.unchanged += 1
        else:
            first = f" ({known[1]})" if known[1] else ""
            self._reject_note(row, f"the same note_id as another note of this run{first}")
        return None

    def _reject_note(self, note: Note, reason: str, *, retracted: bool = False) -> None:
        self._reject(
            Reject(*note.origin, reason, note.note_id, note.patient_id, retracted=retracted)
        )

    def _reject(self, row: Reject) -> None:
        where = f"{row.file}:{row.line}" if row.line else row.file or f"note {row.note_id}"
        reason = row.reason + self._older_version(row)
        if self._strict:
            raise NoteRejected(f"{where}: {reason}")
        self._first_reason = self._first_reason or f"{where}: {reason}"
        self._report.rejected += 1
        self._report.rejects_file = str(self._rejects)
        record = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "file": row.file,
            "line": row.line,
            "note_id": row.note_id,
            "reason": reason,
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self._rejects, flags, 0o600), "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _older_version(self, row: Reject) -> str:
        """Take a retracted note out of the store; say what becomes of what the store holds."""
        if row.note_id is None or row.note_id not in self._store.note_states([row.note_id]):
            return ""
        held = self._store.note_states([row.note_id])[row.note_id]
        if row.retracted and held.patient_id == row.patient_id:
            self._store.delete_notes([row.note_id])
            return "; its older version was removed from the store"
        return (
            "; the store keeps what it holds under this note_id: to remove it, type "
            f"drehr-rag delete --note {row.note_id}"
        )

    def _digest(self, note: Note) -> str:
        made_of = [note.model_dump(mode="json"), dict(self._chunker.settings)]
        return sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def _queue(self, notes: Sequence[tuple[Note, str]]) -> None:
        """Set aside what is unchanged, cut the rest into chunks."""
        states = self._store.note_states([note.note_id for note, _ in notes])
        todo: list[tuple[Note, str, bool]] = []
        for note, digest in notes:
            state = states.get(note.note_id)
            if state and state.complete and state.digest == digest:
                self._report.unchanged += 1
            elif state and state.patient_id != note.patient_id:
                self._reject_note(note, "the store holds this note_id for another patient")
            else:
                todo.append((note, digest, state is not None))
        for (note, digest, replaces), chunks in zip(
            todo, self._chunker.split([note for note, _, _ in todo]), strict=True
        ):
            if chunks:
                self._pending.append((digest, chunks, replaces))
            else:
                self._reject_note(note, "no words are left after cleaning", retracted=True)

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
    """Ids, digests and places of a run's notes, on disk: millions stay small in memory."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # a temporary file of SQLite's own
        self._table.execute(
            "CREATE TABLE seen (note TEXT PRIMARY KEY, digest TEXT, place TEXT) WITHOUT ROWID"
        )

    def first(self, note_id: str, digest: str, place: str) -> tuple[str, str] | None:
        """Digest and place of the first note of this id; None if this is it."""
        query = "SELECT digest, place FROM seen WHERE note = ?"
        row: tuple[str, str] | None = self._table.execute(query, (note_id,)).fetchone()
        if row is None:
            self._table.execute("INSERT INTO seen VALUES (?, ?, ?)", (note_id, digest, place))
        return row

    def close(self) -> None:
        self._table.close()


def _writable(rejects: Path) -> Path:
    if rejects.is_dir() or not rejects.absolute().parent.is_dir():
        raise BadArgument(f"rejected rows cannot be written to {rejects}: name a file in a folder")
    return rejects


def _place(note: Note) -> str:
    file, line = note.origin
    return f"{file}:{line}" if line else file


def _batches(rows: Iterable[Note | Reject], size: int) -> Iterator[list[Note | Reject]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch
