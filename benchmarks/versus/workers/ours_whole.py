"""Ours from files of notes: reading, cutting into chunks and all."""

import tempfile
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.corpora import corpora, data_folder
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.memory import Memory
from benchmarks.versus.workers.ours import PACKAGES, ready
from benchmarks.versus.workers.queries import timed
from drehr_rag import EhrIndex


def ingest(job: Job) -> dict[str, Any]:
    """`EhrIndex.add` of each `every`-th note of all open notes into a store in a folder."""
    encoder, meter = ready(job)
    with tempfile.TemporaryDirectory() as scratch, Memory() as memory:
        sources = corpora(data_folder(), Path(scratch))
        notes = chain.from_iterable(source.notes(job.options["every"]) for source in sources)
        started = perf_counter()
        index = EhrIndex.open(job.folder / "store", encoder=encoder)
        report = index.add(notes)
        seconds = perf_counter() - started
    facts = {"seconds": seconds, **meter.facts(), "memory": memory.facts()}
    facts["notes"], facts["chunks"] = report.indexed, report.chunks
    facts["seconds"] += timed(index.close)
    return facts


if __name__ == "__main__":
    main({"ingest": ingest}, PACKAGES)
