"""A large store's contents, made of real vectors, and queries whose vectors are known."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.versus.workers.job import Job
from benchmarks.versus.workers.queries import unit

PAGE = 1024
SEED = 3
PATIENT = 100
"""Chunks of a patient."""


@dataclass(frozen=True)
class Page:
    """Some chunks: what is known of each, its text, its vector."""

    rows: list[dict[str, str]]
    texts: list[str]
    vectors: Any


@dataclass(frozen=True)
class Known:
    """Everything that is put into a store or asked of it.

    Attributes:
        size: Chunks.
        spread: Length of what is added to a real vector of length 1 to make another.
        queries: Text → vector.
    """

    size: int
    spread: float
    queries: dict[str, Any]
    _rows: list[dict[str, str]]
    _vectors: Any

    @classmethod
    def of(cls, job: Job) -> "Known":
        """From the job's options: `size`, `spread`, `vectors`, `query_vectors`, `queries`."""
        options = job.options
        texts = json.loads(Path(options["queries"]).read_text(encoding="utf-8"))
        vectors = np.load(options["query_vectors"])
        step = max(1, len(texts) // options["count"])
        some = list(dict(zip(texts, vectors, strict=True)).items())[::step][: options["count"]]
        rows, real = job.rows(), np.load(options["vectors"])
        return cls(options["size"], options["spread"], dict(some), rows, real)

    def pages(self) -> Iterator[Page]:
        """First the real chunks, then copies: other ids, other patients, jittered vectors.

        Every hundred chunks in succession are a patient's.
        """
        chance = np.random.default_rng(SEED)
        for start in range(0, self.size, PAGE):
            numbers = range(start, min(start + PAGE, self.size))
            places = [number % len(self._rows) for number in numbers]
            jitter = chance.normal(size=(len(places), self._vectors.shape[1]))
            copies = np.array([number >= len(self._rows) for number in numbers])
            vectors = self._vectors[places] + self.spread * unit(jitter) * copies[:, None]
            rows = [
                _copy(self._rows[place], number)
                for place, number in zip(places, numbers, strict=True)
            ]
            texts = [row.pop("text") for row in rows]
            yield Page(rows, texts, unit(vectors).astype(np.float32))


def patients(size: int) -> list[str]:
    """Those with as many chunks as a patient has here."""
    return [f"patient {number}" for number in range(max(1, size // PATIENT))]


def _copy(row: dict[str, str], number: int) -> dict[str, str]:
    patient = number // PATIENT
    return {
        **row,
        "chunk_id": f"{row['chunk_id']}~{number}",
        "note_id": f"{row['note_id']}~{patient}",
        "patient_id": f"patient {patient}",
    }


def filled(job: Job, fill: Any) -> dict[str, Any]:
    """Fill the store that the option `store` names, unless that was done; how long it took."""
    mark = Path(job.options["store"]) / "filled.json"
    if not mark.exists():
        mark.parent.mkdir(parents=True, exist_ok=True)
        started = perf_counter()
        facts = fill(Path(job.options["store"]) / "store")
        mark.write_text(json.dumps({"fill_seconds": perf_counter() - started, **facts}))
    held: dict[str, Any] = json.loads(mark.read_text())
    return held


def milliseconds(work: Any, items: list[Any]) -> dict[str, float]:
    """Median and 95th percentile of a call, after a few that do not count."""
    for item in items[: max(1, len(items) // 10)]:
        work(item)
    times = []
    for item in items:
        started = perf_counter()
        work(item)
        times.append(1000 * (perf_counter() - started))
    return {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))}
