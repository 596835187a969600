"""Ours, by the same code that indexes notes, with a chunker that hands out ready-made chunks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.versus.workers.clock import Clock
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.meter import Meter, Stopwatch
from benchmarks.versus.workers.queries import K, show, timed
from drehr_rag import AllPatients, EhrIndex
from drehr_rag.encoders import load_encoder
from drehr_rag.encoders._probes import TEXTS
from drehr_rag.engines import load_engine
from drehr_rag.indexing import IndexingRun
from drehr_rag.protocols import Encoder, Parts
from drehr_rag.types import Chunk, Note

WARM_UP = 64
PORTION = 1024
"""Texts a call: about as many as a block of notes has chunks."""

PACKAGES = ("drehr-rag", "qdrant-edge-py", "sentence-transformers", "transformers", "torch")
EVERYBODY = AllPatients(reason="benchmark")


class ReadyMade:
    """A chunker whose chunks were cut beforehand; forgets a note's when it has handed them out."""

    settings: Mapping[str, Any] = {"chunker": "ready-made"}

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path
        self._chunks: dict[str, list[Chunk]] = {}

    def notes(self) -> Iterator[Note]:
        """The notes that the chunks are of, one after the other."""
        with self._path.open(encoding="utf-8") as lines:
            rows = map(json.loads, lines)
            for note_id, some in groupby(rows, key=lambda row: row["note_id"]):
                parts = list(some)
                note = Note(
                    note_id=note_id,
                    patient_id=parts[0]["patient_id"],
                    note_type=parts[0]["source"],
                    text="\n".join(row["text"] for row in parts),
                )
                self._chunks[note.note_id] = list(_chunks(note, parts))
                yield note

    def split(self, notes: Sequence[Note]) -> list[list[Chunk]]:
        """The chunks of each note."""
        return [self._chunks.pop(note.note_id) for note in notes]


def _chunks(note: Note, rows: Sequence[Mapping[str, str]]) -> Iterator[Chunk]:
    start = 0
    for row in rows:
        text = row["text"]
        end = start + len(text)
        yield Chunk(row["chunk_id"], note.note_id, note.patient_id, start, end, text, text,
                    note_type=note.note_type)  # fmt: skip
        start = end + 1


def ready(job: Job) -> tuple[Encoder, Meter]:
    """The packaged encoder with its defaults, warmed up; its call from texts to vectors."""
    encoder = load_encoder("offline")
    rows = job.rows()[:WARM_UP]
    encoder.encode_passages([row["text"] for row in rows])
    return encoder, Meter(encoder, "_encode", beside=TEXTS)


def encode(job: Job) -> dict[str, Any]:
    """`encode_passages` alone, in the portions in which indexing calls it."""
    encoder, meter = ready(job)
    texts = [row["text"] for row in job.rows()]
    with Clock() as clock:
        portions = [
            encoder.encode_passages(texts[start : start + PORTION])
            for start in range(0, len(texts), PORTION)
        ]
    facts = {**clock.facts(), **meter.facts()}
    if "queries" in job.options:
        queries = json.loads(Path(job.options["queries"]).read_text(encoding="utf-8"))
        np.save(job.beside("passages.npy"), np.concatenate(portions))
        np.save(job.beside("queries.npy"), encoder.encode_queries(queries))
    return facts


def ingest(job: Job) -> dict[str, Any]:
    """From the file of chunks to a store in a folder.

    With the option `apart`, the store gets every point and keeps none: what is left is ours.
    """
    encoder, meter = ready(job)
    chunker = ReadyMade(job.chunks)
    counting = Stopwatch(encoder, "count_tokens")
    with Clock() as clock:
        index = EhrIndex.open(job.folder / "store", encoder=encoder)
        if job.options.get("apart"):
            index._store._write = _keep_nothing
        run = IndexingRun(
            store=index._store,
            engine=load_engine("local"),
            parts=Parts(encoder, {}, chunker, "ready-made", {}, str(job.folder / "store")),
            rejects=job.folder / "rejects.jsonl",
        )
        run.add(chunker.notes())
    facts = {**clock.facts(), **meter.facts(), "counting_seconds": counting.seconds}
    if "queries" in job.options:
        facts["agreement"] = show(
            job,
            stored(index),
            lambda query: encoder.encode_queries([query])[0],
            lambda query: [
                hit.chunk.chunk_id
                for hit in index.search(query, scope=EVERYBODY, k=K, mode="dense", assertion="any")
            ],
        )
    facts["seconds"] += timed(index.close)
    return facts


def _keep_nothing(points: Sequence[Any]) -> None:
    """In place of the engine."""


def stored(index: EhrIndex) -> Iterator[tuple[str, Any]]:
    """Chunk id and vector of every chunk."""
    for page in index._store._all():
        yield from ((payload["chunk_id"], vector) for _, vector, _, payload in page)


if __name__ == "__main__":
    main({"encode": encode, "ingest": ingest}, PACKAGES)
