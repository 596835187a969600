"""Part C: how long a search takes, apart from encoding the query."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.tables import Table
from benchmarks.wrappers import KnownQueries
from drehr_rag import AllPatients, Cohort, EhrIndex, Patient
from drehr_rag.protocols import Encoder
from drehr_rag.stores._scoped import EXACT_BELOW
from drehr_rag.types import Mode, Scope

MODES: tuple[Mode, ...] = ("lexical", "dense", "hybrid", "expanded")
COHORT = 100
WARM_UP = 20
MANY = 10
"""Chunks from which a patient counts as one with notes to search: most VAERS reports are one."""

SEED = 2


def measure(
    store: Path, encoder: Encoder, queries: Sequence[str]
) -> tuple[list[Table], dict[str, Any]]:
    """Time `EhrIndex.search` by mode and scope, and encoding queries by itself."""
    encoder.encode_queries(queries[:WARM_UP])
    single = _milliseconds(lambda query: encoder.encode_queries([query]), queries)
    started = perf_counter()
    vectors = encoder.encode_queries(queries)
    batch = 1000 * (perf_counter() - started) / len(queries)
    known = KnownQueries(encoder, dict(zip(queries, vectors, strict=True)))
    facts: dict[str, Any] = {"queries": len(queries), "times": {}}
    with EhrIndex.open(store, encoder=known) as index:
        everybody = AllPatients(reason="benchmark")
        sizes = index.facets("patient_id", scope=everybody)
        facts["chunks"] = index.count(scope=everybody)
        facts["patients"] = len(sizes)
        pool = sorted(p for p, size in sizes.items() if size >= MANY) or sorted(sizes)
        facts["pool"] = len(pool)
        facts["pool_chunks"] = float(np.mean([sizes[patient] for patient in pool]))
        for name, scopes in _scopes(pool, len(queries)).items():
            for mode in MODES:
                facts["times"][f"{name}, {mode}"] = _search(index, queries, scopes, mode)
    facts["encoding"] = {"one at a time": _points(single), "in one batch": {"mean": batch}}
    return [_table(facts)], facts


def _scopes(patients: list[str], count: int) -> dict[str, list[Scope]]:
    """Another patient and another cohort for each query."""
    chance = random.Random(SEED)
    size = min(COHORT, len(patients))
    return {
        "one patient": [Patient(chance.choice(patients)) for _ in range(count)],
        f"cohort of {size}": [Cohort(chance.sample(patients, size)) for _ in range(count)],
        "all patients": [AllPatients(reason="benchmark")] * count,
    }


def _search(
    index: EhrIndex, queries: Sequence[str], scopes: Sequence[Scope], mode: Mode
) -> dict[str, float]:
    pairs = list(zip(queries, scopes, strict=True))
    found: list[int] = []

    def search(pair: tuple[str, Scope]) -> None:
        found.append(len(index.search(pair[0], scope=pair[1], k=10, mode=mode)))

    for pair in pairs[:WARM_UP]:
        search(pair)
    found.clear()
    return {**_points(_milliseconds(search, pairs)), "hits": float(np.mean(found))}


def _milliseconds(work: Callable[[Any], object], items: Sequence[Any]) -> list[float]:
    times = []
    for item in items:
        started = perf_counter()
        work(item)
        times.append(1000 * (perf_counter() - started))
    return times


def _points(times: Sequence[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))}


def _table(facts: dict[str, Any]) -> Table:
    table = Table("C. Search, in milliseconds", ("scope", "mode", "p50", "p95", "hits"), left=2)
    for name, times in facts["times"].items():
        scope, _, mode = name.rpartition(", ")
        table.add(scope, mode, f"{times['p50']:.2f}", f"{times['p95']:.2f}", f"{times['hits']:.1f}")
    encoding = facts["encoding"]
    one, batch = encoding["one at a time"], encoding["in one batch"]
    table.add("encoding a query", "one by one", f"{one['p50']:.2f}", f"{one['p95']:.2f}", None)
    table.add("", "in one batch (mean)", f"{batch['mean']:.2f}", None, None)
    exact = "exact" if facts["chunks"] < EXACT_BELOW else "by the graph"
    table.note = (
        f"{facts['queries']} queries of devset/mtsamples, k = 10, one at a time, after warm-up, "
        f"on the store of A: {facts['chunks']:,} chunks of {facts['patients']:,} patients, dense "
        f"search {exact}. Query vectors are computed beforehand; add the last rows for encoding. "
        "Every query has another patient or cohort, drawn at random from the "
        f"{facts['pool']:,} patients with at least {MANY} chunks (on average "
        f"{facts['pool_chunks']:.1f}); hits: how many came back."
    )
    return table
