"""Notes with people's labels as a stream of chunks, each with the entities that are its own."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from drehr_rag.errors import TrainingError
from drehr_rag.notes.chunkers.words import OVERLAP, SIZE, WordChunker
from drehr_rag.notes.cleaning import Cleaning
from drehr_rag.training.examples import Example
from drehr_rag.training.masking import text_key
from drehr_rag.training.outcomes import Outcome
from drehr_rag.training.source_files import apart, checksums
from drehr_rag.training.stage2.annotations import (
    Label,
    LabelledNote,
    licence_of,
    place_of,
    read_annotations,
)
from drehr_rag.training.stage2.placing import placed
from drehr_rag.types import Chunk, Reject

LABELS = "labels"
"""Where a chunk carries its labels, in its metadata."""


class AnnotatedCorpus:
    """A stream of chunks called `<note_id>_<i>`; reading it again gives the same.

    Attributes:
        counts: Of what was read since the stream was last begun: notes and labels, those that were
            dropped by reason.
    """

    def __init__(
        self,
        sources: Sequence[str],
        *,
        notes: Sequence[str | Path] = (),
        cleaning: Cleaning = "dr_ehr",
        size: int = SIZE,
        overlap: int = OVERLAP,
    ) -> None:
        """Nothing is read yet.

        Args:
            sources: `NAME:FILE[?…]`; see `annotations.read_annotations`.
            notes: Of a source that holds labels only.
            cleaning: As published: `dr_ehr` or `cliniq`.
            size: Words of a chunk.
            overlap: Words that a chunk shares with the one before it.
        """
        self._sources, self._notes = tuple(sources), tuple(map(Path, notes))
        self._chunker = WordChunker(cleaning=cleaning, size=size, overlap=overlap)
        self.counts: Counter[str] = Counter()

    @property
    def settings(self) -> dict[str, Any]:
        """What decides on the chunks and their labels, besides the files."""
        named = [f"{s.partition(':')[0]}?{s.partition('?')[2]}" for s in self._sources]
        return {**self._chunker.settings, "annotations": [name.rstrip("?") for name in named]}

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file that is read.

        Raises:
            TrainingError: One is not there.
        """
        return checksums((*map(place_of, self._sources), *self._notes))

    def licences(self) -> dict[str, str]:
        """Of each file with labels, as far as its reader knows it."""
        names = apart(place_of(source).name for source in self._sources)
        known = zip(names, map(licence_of, self._sources), strict=True)
        return {name: licence for name, licence in known if licence}

    def __iter__(self) -> Iterator[Chunk]:
        """Every chunk of every note that has a label, in order.

        Raises:
            TrainingError: A source cannot be read, or holds nothing with labels.
        """
        self.counts.clear()
        seen: set[str] = set()
        for source in self._sources:
            for row in read_annotations(source, notes=self._notes):
                if isinstance(row, Reject):
                    self.counts[f"rows dropped: {row.reason}"] += 1
                    continue
                self.counts["notes"] += 1
                if row.note.note_id in seen:
                    self.counts["notes dropped: the same note_id as another note"] += 1
                    continue
                seen.add(row.note.note_id)
                yield from self._chunks(row)
        if not self.counts["chunks"]:
            raise TrainingError(f"{', '.join(self._sources)}: no note there has labels")

    def _chunks(self, row: LabelledNote) -> Iterator[Chunk]:
        for reason, count in row.left_out.items():
            self.counts[f"labels dropped: {reason}"] += count
        if not row.labels:
            self.counts["notes dropped: without labels"] += 1
            return
        [chunks] = self._chunker.split([row.note])
        of, nowhere = placed(row.labels, chunks)
        self.counts["labels"] += len(row.labels)
        self.counts["labels dropped: nobody says which chunk of the note"] += nowhere
        self.counts["chunks"] += len(chunks)
        for number, (chunk, labels) in enumerate(zip(chunks, of, strict=True)):
            name = f"{row.note.note_id}_{number}"
            yield replace(chunk, chunk_id=name, metadata={LABELS: tuple(labels)})


def labelled(chunk: Chunk) -> Outcome:
    """The work on such a chunk, for `building.build`: its labels are its entities."""
    labels = _once(chunk.metadata[LABELS])
    if not labels:
        return Outcome(None, {"chunks without entities": 1})
    concepts = tuple(label.concept for label in labels)
    example = Example(
        idx=chunk.chunk_id,
        text=chunk.text,
        entities=tuple(label.text for label in labels),
        concepts=concepts if any(concepts) else None,
    )
    return Outcome(example, {"entities": len(labels)})


def _once(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Each text once, with the concept of its first mention that has one."""
    kept: dict[int, Label] = {}
    for label in labels:
        key = text_key(label.text)
        if key not in kept or (kept[key].concept is None and label.concept):
            kept[key] = label if key not in kept else replace(kept[key], concept=label.concept)
    return tuple(kept.values())
