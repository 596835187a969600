"""Notes of any reader as the chunks that both stages are built from (PAPER.md §1, stage 1)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from drehr_rag._arguments import whole
from drehr_rag._files import written
from drehr_rag.errors import TrainingError
from drehr_rag.notes.chunkers.words import OVERLAP, SIZE, WordChunker
from drehr_rag.notes.cleaning import Cleaning
from drehr_rag.notes.readers import WITHOUT_COLUMNS, Fields, read_notes, recognise
from drehr_rag.notes.readers.mimic4 import NOTE_TYPES
from drehr_rag.training.source_files import checksums
from drehr_rag.training.split import Split
from drehr_rag.types import Chunk, Note, Reject

SHORTEST = 50
"""Words of a note below which it is dropped (PAPER.md §1, stage 1)."""


class Corpus:
    """A stream of chunks called `<note_id>_<i>`; reading it again gives the same.

    Attributes:
        counts: Of what was read since the stream was last begun: `notes`, `notes dropped: …` by
            reason, `chunks`.
    """

    def __init__(
        self,
        sources: Iterable[str | Path],
        *,
        format: str | None = None,
        fields: Fields | None = None,
        keep: Split | None = None,
        note_types: Iterable[str] = (),
        cleaning: Cleaning = "dr_ehr",
        size: int = SIZE,
        overlap: int = OVERLAP,
        shortest: int = SHORTEST,
        rejects: Path | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            sources: Files or folders of notes, as `drehr_rag.read_notes` takes them.
            format: A reader's name; without it each source's format is recognised.
            fields: Which column holds which field of a note.
            keep: Keeps a part of the notes; others are counted.
            note_types: Keeps notes of these types (case and outer space do not matter; MIMIC-IV's
                may be said as `DS`), others are counted; by default of any. The paper has
                discharge summaries alone.
            cleaning: As published: `dr_ehr` drops runs of one non-word character, `cliniq` not.
            size: Words of a chunk.
            overlap: Words that a chunk shares with the one before it.
            shortest: Notes of fewer words are dropped, and counted.
            rejects: A file for the rows that cannot be read, written when the stream ends.

        Raises:
            TrainingError: No source is named, or one is not there.
        """
        whole(shortest, "shortest", 0)
        self._sources = [Path(source) for source in sources]
        self._format, self._keep = format, keep
        self._note_types = sorted({_type_key(name) for name in note_types})
        self._fields = fields or Fields()
        self._chunker = WordChunker(cleaning=cleaning, size=size, overlap=overlap)
        self._shortest, self._rejects_file = shortest, rejects
        self._rejects: list[Reject] = []
        self.counts: Counter[str] = Counter()
        if not self._sources:
            raise TrainingError("no notes are named: give at least one file or folder")
        for source in self._sources:
            if not source.exists():
                raise TrainingError(f"there is no file or folder {source}")

    @property
    def settings(self) -> dict[str, Any]:
        """What decides on the chunks, besides the notes."""
        return {
            **self._chunker.settings,
            "shortest": self._shortest,
            "keep": self._keep and str(self._keep),
            "note_types": self._note_types,
            "format": self._format,
            "columns": dict(self._fields.columns),
            "constants": dict(self._fields.constants),
        }

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each source by its name; of a folder, over the names and sums of its files."""
        return checksums(self._sources)

    def __iter__(self) -> Iterator[Chunk]:
        """Every chunk, in the notes' order.

        Raises:
            NoteError: A source cannot be read.
            TrainingError: A note lacks the column that `keep` splits by.
        """
        self.counts.clear()
        self._rejects.clear()
        for note in self._notes():
            [chunks] = self._chunker.split([note])
            if self._words(chunks) < self._shortest or not chunks:
                self.counts[f"notes dropped: under {self._shortest} words"] += 1
                continue
            self.counts["chunks"] += len(chunks)
            for number, chunk in enumerate(chunks):
                yield replace(chunk, chunk_id=f"{note.note_id}_{number}")
        self._write_rejects()

    def _notes(self) -> Iterator[Note]:
        seen: set[str] = set()
        for row in self._rows():
            self.counts["notes"] += 1
            if isinstance(row, Reject):
                self._drop("cannot be read", row)
            elif row.note_id in seen:
                self._drop("the same note_id as another note", _rejected(row))
            elif self._keep and not self._keep.keeps(row):
                self.counts[f"notes dropped: not in {self._keep}"] += 1
            elif self._note_types and _type_key(row.note_type or "") not in self._note_types:
                self.counts["notes dropped: of another type"] += 1
            else:
                yield row
            if isinstance(row, Note):
                seen.add(row.note_id)

    def _rows(self) -> Iterator[Note | Reject]:
        for source in self._sources:
            name = self._format or recognise(source)
            yield from read_notes(source, format=name, fields=self._fields_of(name))

    def _fields_of(self, format: str) -> Fields:
        """With the column to split by among the metadata, where a format has columns."""
        column = self._keep.column if self._keep else None
        wanted = column and column not in Note.model_fields and format not in WITHOUT_COLUMNS
        if not wanted or column in self._fields.metadata:
            return self._fields
        return replace(self._fields, metadata=(*self._fields.metadata, str(column)))

    def _words(self, chunks: Sequence[Chunk]) -> int:
        """Of a whole note after cleaning, or more than `shortest` of them."""
        total = 0
        for number, chunk in enumerate(chunks):
            total += len(chunk.text.split()) - (self._chunker.overlap if number else 0)
            if total >= self._shortest:
                break
        return total

    def _drop(self, reason: str, reject: Reject) -> None:
        self.counts[f"notes dropped: {reason}"] += 1
        self._rejects.append(reject)

    def _write_rejects(self) -> None:
        if self._rejects_file and self._rejects:
            with written(self._rejects_file, error=TrainingError) as file:
                for reject in self._rejects:
                    file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")


def _type_key(name: str) -> str:
    """As MIMIC-IV's reader writes types out, so that its `DS` may be named too."""
    return NOTE_TYPES.get(name.strip().upper(), name).strip().casefold()


def _rejected(note: Note) -> Reject:
    file, line = note.origin
    return Reject(file, line, "the same note_id as another note", note.note_id, note.patient_id)
