"""One run of indexing: what to do with each note, and the store's books, kill-proof."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import perf_counter

from drehr_rag.engines import write
from drehr_rag.errors import BadArgument, NoNotes, NoteError, NoteRejected
from drehr_rag.protocols import Accepted, Encoded, Engine, NoteState, NoteStream, Parts
from drehr_rag.stores import ScopedStore
from drehr_rag.types import IndexReport, Note, Reject

NOTES = 64
"""Notes read, and asked after in the store, at a time."""

CHARACTERS = 300_000
"""Characters of the notes that are split, encoded and written at a time: about a thousand chunks,
so that many of like length share a batch."""

Progress = Callable[[IndexReport], None]


class IndexingRun:
    """Reads a stream of notes into a store.

    A note counts as indexed when all its chunks bear its digest, so the store itself says what
    is left to do after an interruption; there is no second book to disagree with it.

    Every decision falls here, in the order of the stream. The engine only splits and encodes, and
    may give blocks back late or in another order: `_underway` knows what it still holds.
    """

    def __init__(
        self,
        *,
        store: ScopedStore,
        engine: Engine,
        parts: Parts,
        rejects: Path,
        strict: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Keep the parts; nothing is read yet.

        Raises:
            BadArgument: The file for rejects cannot be written.
        """
        self._store = store
        self._engine = engine
        self._parts = parts
        self._rejects = _writable(rejects)
        self._strict = strict
        self._progress = progress or (lambda report: None)
        self._seen = _SeenNotes()
        self._underway: dict[str, str] = {}  # accepted and not yet written: note → patient
        self._taken_back: set[str] = set()  # of those, what must leave the store once written
        self._stopped: NoteRejected | None = None  # strict mode has met a bad row
        self._broken: NoteError | None = None  # the source gives no more rows
        self._report = IndexReport()
        self._first_reason = ""
        self._started = 0.0

    def add(self, notes: NoteStream) -> IndexReport:
        """Index them all.

        Raises:
            NoNotes: There was not one note: no row at all, or every row was rejected.
            NoteError: The source is damaged; what came before the damage is kept.
            NoteRejected: In strict mode, at the first row that cannot be read; what came
                before it is kept.
        """
        self._started = perf_counter()
        report = self._report
        try:
            for encoded in self._engine.encode(self._blocks(notes), self._parts):
                self._keep(encoded)
                self._tell()
        finally:
            self._seen.close()
        if problem := self._stopped or self._broken:
            raise problem
        if report.rejected == report.read:
            raise NoNotes(self._nothing())
        self._store.optimise()
        self._tell()
        return report

    def _tell(self) -> None:
        self._report.seconds = perf_counter() - self._started
        self._progress(self._report)

    def _nothing(self) -> str:
        if not self._report.read:
            return "there is no note to index"
        return (
            f"none of {self._report.read} rows is a note; the first: {self._first_reason} "
            f"(all are in {self._rejects})"
        )

    # -- deciding ------------------------------------------------------------------------------

    def _blocks(self, notes: NoteStream) -> Iterator[list[Accepted]]:
        """What is to be encoded, up to the first bad row in strict mode."""
        block: list[Accepted] = []
        size = 0
        for rows in _batches(self._whole(notes), NOTES):
            for accepted in self._decide(rows):
                block.append(accepted)
                size += len(accepted.note.text)
                if size >= CHARACTERS:
                    yield block
                    block, size = [], 0
            self._tell()
            if self._stopped:
                break
        if block:
            yield block

    def _whole(self, notes: NoteStream) -> NoteStream:
        """Its rows up to where it is damaged: those before are indexed before anybody is told."""
        try:
            yield from notes
        except NoteError as problem:
            self._broken = problem

    def _decide(self, rows: Sequence[Note | Reject]) -> list[Accepted]:
        ids = [row.note_id for row in rows if isinstance(row, Note | Reject) and row.note_id]
        held = self._store.note_states(ids)
        accepted: list[Accepted] = []
        for row in rows:
            self._report.read += 1
            if isinstance(row, Reject):
                self._reject(row, held)
            elif one := self._accept(row, held):
                accepted.append(one)
            if self._stopped:
                break
        return accepted

    def _accept(self, note: Note, held: dict[str, NoteState]) -> Accepted | None:
        if not isinstance(note, Note):
            raise BadArgument(f"notes are Note objects, not {type(note).__name__}")
        digest, state = self._digest(note), held.get(note.note_id)
        first = self._seen.first(note.note_id, digest, _place(note))
        if first and first[0] != digest:
            where = f" ({first[1]})" if first[1] else ""
            self._record(_rejected(note, f"the same note_id as another note of this run{where}"))
        elif first or (state and state.complete and state.digest == digest):
            self._report.unchanged += 1
        elif state and state.patient_id != note.patient_id:
            self._reject(_rejected(note, "the store holds this note_id for another patient"), held)
        else:
            self._underway[note.note_id] = note.patient_id
            return Accepted(note, digest, state is not None)
        return None

    def _digest(self, note: Note) -> str:
        made_of = [note.model_dump(mode="json"), dict(self._parts.chunker.settings)]
        return sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    # -- writing -------------------------------------------------------------------------------

    def _keep(self, encoded: Encoded) -> None:
        write(encoded, self._store)
        for note_id in encoded.replaces:
            del self._underway[note_id]
        if back := self._taken_back & encoded.replaces.keys():
            self._store.delete_notes(sorted(back))
        replaced = sum(encoded.replaces.values())
        self._report.replaced += replaced
        self._report.indexed += len(encoded.replaces) - replaced
        self._report.chunks += encoded.chunks
        self._report.truncated += encoded.truncated
        self._report.encoding_seconds += encoded.seconds
        for note in encoded.empty:
            del self._underway[note.note_id]
            held = self._store.note_states([note.note_id])
            reason = "no words are left after cleaning"
            self._reject(_rejected(note, reason, retracted=True), held)

    # -- rejecting -----------------------------------------------------------------------------

    def _reject(self, row: Reject, held: dict[str, NoteState]) -> None:
        """Record it, saying what becomes of the version that the store holds."""
        self._record(replace(row, reason=row.reason + self._older_version(row, held)))

    def _older_version(self, row: Reject, held: dict[str, NoteState]) -> str:
        """Take a retracted note out of the store, or out of what is on its way there."""
        if row.note_id is None or not (row.note_id in held or row.note_id in self._underway):
            return ""
        underway = row.note_id in self._underway
        patient = self._underway[row.note_id] if underway else held[row.note_id].patient_id
        if not row.retracted or patient != row.patient_id:
            return (
                "; the store keeps what it holds under this note_id: to remove it, type "
                f"drehr-rag delete --note {row.note_id}"
            )
        if underway:
            self._taken_back.add(row.note_id)
        self._store.delete_notes([row.note_id])
        held.pop(row.note_id, None)
        return "; its older version was removed from the store"

    def _record(self, row: Reject) -> None:
        where = f"{row.file}:{row.line}" if row.line else row.file or f"note {row.note_id}"
        if self._strict:
            self._stopped = self._stopped or NoteRejected(f"{where}: {row.reason}")
            return
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


def _rejected(note: Note, reason: str, *, retracted: bool = False) -> Reject:
    return Reject(*note.origin, reason, note.note_id, note.patient_id, retracted=retracted)


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
