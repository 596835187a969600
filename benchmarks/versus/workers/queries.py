"""Reads back what a store holds and searches it, to show that speed did not cost quality."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.versus.workers.job import Job

CHECKED = 20
"""Queries that are put to the store itself; its answers must be those of its vectors."""

K = 10

Search = Callable[[str], Sequence[str]]
"""A query to chunk ids, best first."""


def show(job: Job, stored: Iterable[tuple[str, Any]], encode: Any, search: Search) -> float:
    """Write the vectors of chunks and queries beside the answer; check some searches.

    Args:
        job: Its option `queries` names a JSON file of queries.
        stored: Chunk id and vector of everything in the store.
        encode: A query's vector, as the library encodes queries.
        search: The library's own search for 10 chunks.

    Returns:
        Share of the 10 nearest chunks by exact search that the library's search finds.
    """
    held = dict(stored)
    order = [row["chunk_id"] for row in job.rows()]
    passages = unit(np.array([held[chunk_id] for chunk_id in order], dtype=np.float32))
    texts = json.loads(Path(job.options["queries"]).read_text(encoding="utf-8"))
    queries = unit(np.array([encode(text) for text in texts], dtype=np.float32))
    np.save(job.beside("passages.npy"), passages)
    np.save(job.beside("queries.npy"), queries)
    some = range(0, len(texts), max(1, len(texts) // CHECKED))
    shares = []
    for i in some:
        nearest = np.argsort(-(passages @ queries[i]), kind="stable")[:K]
        found = set(search(texts[i]))
        shares.append(len(found & {order[n] for n in nearest}) / len(nearest))
    return float(np.mean(shares))


def unit(vectors: Any) -> Any:
    """Rows of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    started = perf_counter()
    work()
    return perf_counter() - started
