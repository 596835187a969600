"""Ours in a large store: how long a search takes, and what the graph misses of exact search."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import latency
from benchmarks.versus.workers.clock import Clock
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.known import Known, filled, patients
from benchmarks.versus.workers.ours import EVERYBODY, PACKAGES
from benchmarks.wrappers import KnownQueries
from drehr_rag import EhrIndex, Patient
from drehr_rag.encoders import load_encoder
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores._scoped import EXACT_BELOW
from drehr_rag.types import Chunk

K = 10


def search(job: Job) -> dict[str, Any]:
    """Fill the store if need be; then times by mode and scope, and recall."""
    known = Known.of(job)
    encoder = load_encoder("offline")
    facts = filled(job, lambda place: _fill(place, known, encoder))
    place = Path(job.options["store"]) / "store"
    times = latency.measure(place, encoder, list(known.queries))[1]
    with EhrIndex.open(place, encoder=KnownQueries(encoder, known.queries)) as index:
        recall = _recall(index, known)
    exact = times["chunks"] < EXACT_BELOW
    return {**facts, **times, "seconds": facts["fill_seconds"], "recall": recall, "exact": exact}


def _fill(place: Path, known: Known, encoder: Any) -> dict[str, Any]:
    with Clock() as clock, EhrIndex.open(place, encoder=encoder) as index:
        for page in known.pages():
            chunks = [
                Chunk(row["chunk_id"], row["note_id"], row["patient_id"], 0, len(text), text, text,
                      note_type=row["source"])
                for row, text in zip(page.rows, page.texts, strict=True)
            ]  # fmt: skip
            sizes = Counter(chunk.note_id for chunk in chunks)
            digests = {note: ("known", size) for note, size in sizes.items()}
            index._store.upsert(chunks, page.vectors, sparse_passages(page.texts), digests)
        written = clock.so_far()
        index._store.optimise()
        optimised = clock.so_far() - written
    return {"write_seconds": written, "optimise_seconds": optimised, **clock.facts()}


def _recall(index: EhrIndex, known: Known) -> dict[str, float]:
    """Share of the ten nearest by exact cosine that a dense search finds."""
    pages = list(known.pages())
    vectors = np.concatenate([page.vectors for page in pages])
    rows = [row for page in pages for row in page.rows]
    ids = [row["chunk_id"] for row in rows]
    patient = patients(known.size)[0]
    inside = np.array([i for i, row in enumerate(rows) if row["patient_id"] == patient])
    everybody, one = [], []
    for query, vector in known.queries.items():
        scores = vectors @ vector
        found = index.search(query, scope=EVERYBODY, k=K, mode="dense", assertion="any")
        everybody.append(_share(found, scores, np.arange(len(ids)), ids))
        found = index.search(query, scope=Patient(patient), k=K, mode="dense", assertion="any")
        one.append(_share(found, scores, inside, ids))
    return {"all patients": float(np.mean(everybody)), "one patient": float(np.mean(one))}


def _share(found: Sequence[Any], scores: Any, among: Any, ids: Sequence[str]) -> float:
    """Ties count as found: copies of one text may have one score."""
    best = among[np.argsort(-scores[among], kind="stable")[:K]]
    least = float(scores[best[-1]]) - 1e-6
    place = {ids[i]: i for i in among}
    return sum(scores[place[hit.chunk.chunk_id]] >= least for hit in found) / len(best)


if __name__ == "__main__":
    main({"search": search}, PACKAGES)
