"""Ours from a file of notes: reading, cutting into chunks and all."""

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.corpora import corpora, data_folder
from benchmarks.versus.workers.clock import Clock
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.ours import PACKAGES, ready
from benchmarks.versus.workers.queries import timed
from drehr_rag import EhrIndex
from drehr_rag.types import Note


def ingest(job: Job) -> dict[str, Any]:
    """`EhrIndex.add` of each `every`-th note of all open notes into a store in a folder."""
    encoder, meter = ready(job)
    file = job.folder / "notes.jsonl"
    _write_notes(file, job.options["every"])
    with Clock() as clock:
        index = EhrIndex.open(job.folder / "store", encoder=encoder)
        report = index.add(file)
    facts = {**clock.facts(), **meter.facts()}
    facts["notes"], facts["chunks"] = report.indexed, report.chunks
    facts["seconds"] += timed(index.close)
    return facts


def _write_notes(file: Path, every: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, file.open("w", encoding="utf-8") as out:
        sources = corpora(data_folder(), Path(scratch))
        for note in chain.from_iterable(source.notes(every) for source in sources):
            if isinstance(note, Note):
                out.write(f"{note.model_dump_json()}\n")


if __name__ == "__main__":
    main({"ingest": ingest}, PACKAGES)
