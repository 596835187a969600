"""The steps of `benchmarks.scale`: write, optimise, search, change; each returns its figures."""

import random
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psutil

from benchmarks.indexing import disk_use
from benchmarks.scale_truth import Truth, recall
from benchmarks.synthetic import BLOCK, PATIENTS, Corpus, Real, real_chunks
from benchmarks.synthetic import likeness as how_alike
from drehr_rag import AllPatients, Cohort, EhrIndex, Patient
from drehr_rag.stores import open_store
from drehr_rag.types import Fingerprint, Mode, Scope, Vectors

COHORT = 1_000
COHORTS = 10
WARM_UP = 20
NOTES = 64
"""Notes whose state indexing asks for at a time (drehr_rag.indexing.NOTES)."""

EVERYBODY = AllPatients(reason="benchmark")
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
SEED = 5


class KnownVectors:
    """The real encoder's name and fingerprint, and the queries' vectors from a table."""

    name = "offline"
    max_tokens = 256
    truncated = 0

    def __init__(self, real: Real) -> None:
        """Keep the table."""
        self.fingerprint = Fingerprint(**real.fingerprint)
        self._vectors = dict(zip(real.queries, real.query_vectors, strict=True))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words."""
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """From the table."""
        return np.stack([self._vectors[text] for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """One and the same vector for each: only a small addition is indexed this way."""
        return np.stack([next(iter(self._vectors.values()))] * len(texts))


def likeness(folder: Path, _: int) -> dict[str, Any]:
    """Real vectors beside as many made-up ones."""
    real = real_chunks(folder)
    corpus = Corpus(real)
    count = len(real.vectors)
    made = np.concatenate([corpus.vectors(block) for block in range(count // BLOCK + 1)])
    some = np.random.default_rng(SEED).permutation(count)[: 4 * BLOCK]
    alike = {"real": real.vectors, "made": made}
    figures = {name: how_alike(rows[some], real.query_vectors) for name, rows in alike.items()}
    return {**figures, "compared": len(some), "encoded": len(real.texts), "zipf": corpus.zipf}


def write(folder: Path, size: int) -> dict[str, Any]:
    """Write the blocks that are missing."""
    real = real_chunks(folder)
    corpus = Corpus(real)
    manifest = {
        "dimension": real.vectors.shape[1],
        "encoder": {"name": "offline", "fingerprint": real.fingerprint},
        "chunker": {"name": "sections", "options": {}},
    }
    before = _memory()
    seconds = 0.0
    lengths: list[int] = []
    with open_store(str(_store(folder)), manifest=manifest) as store:
        there = store.count(scope=EVERYBODY) // BLOCK
        for number in range(there, size // BLOCK):
            block = corpus.block(number)
            lengths += [len(chunk.text) for chunk in block.chunks]
            started = perf_counter()
            store.upsert(block.chunks, block.dense, block.sparse, block.digests)
            seconds += perf_counter() - started
            if number % 10 == 9:
                _say(f"{(number + 1) * BLOCK:,} of {size:,}, {seconds:.0f} s of writing")
        after = _memory()
        started = perf_counter()
    return {
        "chunks": len(lengths),
        "seconds": seconds,
        "close": perf_counter() - started,
        "before": before,
        "after": after,
        "text": float(np.mean(lengths)) if lengths else 0.0,
        "disk": _disk(_store(folder)),
    }


def optimise(folder: Path, _: int) -> dict[str, Any]:
    """Build the graph."""
    with open_store(str(_store(folder))) as store:
        started = perf_counter()
        store.optimise()
        seconds = perf_counter() - started
        info = store._open().info()  # type: ignore[attr-defined]
        shape = {"segments": info.segments_count, "indexed": info.indexed_vectors_count}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"seconds": seconds, "peak": peak, **shape, "disk": _disk(_store(folder))}


def search(folder: Path, size: int) -> dict[str, Any]:
    """Open the store; time searches and look-ups; compare with the truth."""
    real = real_chunks(folder)
    corpus = Corpus(real)
    cohorts = _cohorts(size)
    truth = Truth.of(corpus, real.query_vectors, cohorts, size, folder)
    del corpus
    before = _memory()
    started = perf_counter()
    index = EhrIndex.open(_store(folder), encoder=KnownVectors(real))
    facts: dict[str, Any] = {
        "open": perf_counter() - started,
        "opened": _memory(),
        "before": before,
    }
    with index:
        facts["times"] = _times(index, real.queries, _scopes(cohorts, size, len(real.queries)))
        facts["searched"] = _memory()
        facts["patients"] = _patient_times(index, real.queries[:30])
        facts["look-ups"] = _look_ups(index, size, cohorts)
        facts["recall"] = {
            f"{name}, {k}": recall(index, real, scopes, exact, k)
            for name, (scopes, exact) in truth.by_scope(cohorts).items()
            for k in (10, 100)
        }
        facts["info"] = index.info()
        facts["looked up"] = _memory()
    facts["numpy"] = truth.milliseconds
    return facts


def change(folder: Path, size: int) -> dict[str, Any]:
    """Delete a patient and write it again; index one more note."""
    real = real_chunks(folder)
    corpus = Corpus(real)
    number = size // BLOCK // 2
    block = corpus.block(number)
    patient = block.chunks[0].patient_id
    with EhrIndex.open(_store(folder), encoder=KnownVectors(real)) as index:
        started = perf_counter()
        gone = index.delete_patient(patient)
        seconds = {"delete": perf_counter() - started}
        left = index.count(scope=Patient(patient or ""))
        index._store.upsert(block.chunks, block.dense, block.sparse, block.digests)
        started = perf_counter()
        index._store.optimise()
        seconds["optimise again"] = perf_counter() - started
        whole = index.count(scope=EVERYBODY)
        started = perf_counter()
    seconds["close"] = perf_counter() - started
    return {"seconds": seconds, "gone": gone, "left": left, "chunks": whole}


def _store(folder: Path) -> Path:
    return folder / "store"


def _memory() -> dict[str, int]:
    """Bytes of this process: all, and what is its own rather than a file's pages."""
    held = psutil.Process().memory_info()
    return {"all": held.rss, "own": held.rss - held.shared}


def _disk(store: Path) -> dict[str, int]:
    """Bytes by part."""
    parts = {"all": disk_use(store), "log": disk_use(store, "wal")}
    for path in store.rglob("*"):
        if path.is_file() and "segments" in path.parts:
            part = path.relative_to(store / "shard" / "segments").parts[1]
            parts[part] = parts.get(part, 0) + path.stat().st_blocks * 512
    return parts


def _cohorts(size: int) -> list[list[int]]:
    chance = random.Random(SEED)
    everybody = range(size // BLOCK * PATIENTS)
    return [sorted(chance.sample(everybody, min(COHORT, len(everybody)))) for _ in range(COHORTS)]


def _name(patient: int) -> str:
    return str(10_000_000 + patient)


def _scopes(cohorts: Sequence[Sequence[int]], size: int, count: int) -> dict[str, list[Scope]]:
    chance = random.Random(SEED)
    everybody = size // BLOCK * PATIENTS
    groups = [Cohort(map(_name, cohort)) for cohort in cohorts]
    return {
        "one patient": [Patient(_name(chance.randrange(everybody))) for _ in range(count)],
        "cohort": [groups[i % len(groups)] for i in range(count)],
        "all patients": [EVERYBODY] * count,
    }


def _times(
    index: EhrIndex, queries: Sequence[str], scopes: dict[str, list[Scope]]
) -> dict[str, dict[str, float]]:
    """Milliseconds of `EhrIndex.search`, k = 10, one query at a time."""
    times: dict[str, dict[str, float]] = {}
    for name, some in scopes.items():
        for mode in MODES:
            for query, scope in zip(queries[:WARM_UP], some, strict=False):
                index.search(query, scope=scope, mode=mode)
            spent, hits = [], []
            for query, scope in zip(queries, some, strict=True):
                started = perf_counter()
                hits.append(len(index.search(query, scope=scope, mode=mode)))
                spent.append(1000 * (perf_counter() - started))
            times[f"{name}, {mode}"] = {**_points(spent), "hits": float(np.mean(hits))}
            _say(f"{name}, {mode}: p50 {times[f'{name}, {mode}']['p50']:.2f} ms")
    return times


def _patient_times(index: EhrIndex, queries: Sequence[str]) -> dict[str, dict[str, float]]:
    """Milliseconds of `EhrIndex.search_patients` over all patients."""
    times = {}
    for mode in MODES:
        spent = []
        for query in queries:
            started = perf_counter()
            index.search_patients(query, scope=EVERYBODY, mode=mode, k=10)
            spent.append(1000 * (perf_counter() - started))
        times[mode] = _points(spent)
        _say(f"patients, {mode}: p50 {times[mode]['p50']:.1f} ms")
    return times


def _look_ups(index: EhrIndex, size: int, cohorts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Milliseconds of everything that is no search."""
    chance = random.Random(SEED)
    someone = Patient(_name(chance.randrange(size // BLOCK * PATIENTS)))
    group = Cohort(map(_name, cohorts[0]))
    known = [f"{chance.randrange(size // BLOCK * PATIENTS):08d}-0" for _ in range(NOTES)]
    ids = [hit.chunk.chunk_id for hit in index.search("pain", scope=EVERYBODY, mode="lexical")]
    store = index._store
    work: dict[str, Callable[[], object]] = {
        "count all": lambda: index.count(scope=EVERYBODY),
        "count cohort": lambda: index.count(scope=group),
        "count patient": lambda: index.count(scope=someone),
        "facet note_type, all": lambda: index.facets("note_type", scope=EVERYBODY),
        "facet patient_id, all": lambda: index.facets("patient_id", scope=EVERYBODY),
        "facet note_id, all": lambda: index.facets("note_id", scope=EVERYBODY),
        "facet section, patient": lambda: index.facets("section", scope=someone),
        "info": index.info,
        "states of 64 notes": lambda: store.note_states(known),
        "states of 64 unknown notes": lambda: store.note_states([f"x{i}" for i in range(NOTES)]),
        "get 10 chunks": lambda: index.get(ids, scope=EVERYBODY),
    }
    times = {}
    for name, call in work.items():
        call()
        times[name] = _points([_timed(call) for _ in range(5)])
        _say(f"{name}: p50 {times[name]['p50']:.2f} ms")
    return times


def _timed(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return 1000 * (perf_counter() - started)


def _points(times: Sequence[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))}


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
