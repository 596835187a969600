"""A query's time in a large store, encoding left out: ours beside LangChain and LlamaIndex.

    python -m benchmarks.search [--quick] [--json FILE] [--markdown docs/measurements.md]

The store holds the ready-made chunks and copies of them, their vectors jittered.
"""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks.encode import OURS
from benchmarks.latency import COHORT
from benchmarks.tables import Table
from benchmarks.versus import goals
from benchmarks.versus.goals import Goal
from benchmarks.versus.rounds import Bench, Round, System
from benchmarks.versus.script import MISSING, prepare
from benchmarks.versus.workers.known import PATIENT

SIZE = 100_000
SYSTEMS = (
    System(OURS, "ours_search"),
    System("LangChain", "langchain_search", theirs=True),
    System("LlamaIndex", "llama_index_search", theirs=True),
)
QUERIES = {True: 200, False: 20}
"""Queries of ours, and of theirs, who take up to a second each."""

ONE, ALL = 2, 40
"""Milliseconds in the goals, at the 95th percentile: one patient, all patients."""

SAMPLE = 1_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    script = prepare("search", __doc__ or "", arguments, _more)
    first = {"queries": str(script.query_file)}
    vectors = script.bench.answer(System(OURS, "ours", first=first), "encode")["arrays"]
    real = np.load(f"{vectors}-passages.npy")
    near = nearest_cosine(real)
    size = script.options.size or (len(real) * 2 if script.options.quick else SIZE)
    options = {
        "size": size,
        "spread": float(np.sqrt(1 / near**2 - 1)),
        "vectors": f"{vectors}-passages.npy",
        "query_vectors": f"{vectors}-queries.npy",
        "queries": str(script.query_file),
    }
    systems = [_with_store(script.bench, system, options) for system in SYSTEMS]
    rounds = script.bench.rounds(systems, "search", script.rounds)
    aims = _goals(rounds)
    note = (
        f"{size:,} chunks of {size // PATIENT:,} patients: {len(real):,} real chunks, the rest "
        f"copies with vectors jittered to a cosine of about {near:.2f} with the original's (the "
        "median between a real chunk and its nearest). "
    )
    tables = [_times(rounds, note, script.skipped(SYSTEMS)), _store(rounds[0][OURS])]
    facts = {"rounds": rounds, "near": near, "goals": [vars(aim) for aim in aims]}
    script.publish([*tables, goals.table("Search: goals", aims)], facts)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, metavar="N", help=f"chunks in the store ({SIZE:,})")


def nearest_cosine(vectors: Any) -> float:
    """Median cosine between a chunk and the one nearest to it, over a sample."""
    step = max(1, len(vectors) // SAMPLE)
    some = np.arange(0, len(vectors), step)
    cosines = vectors[some] @ vectors.T
    cosines[np.arange(len(some)), some] = -1
    return float(np.median(cosines.max(axis=1)))


def _with_store(bench: Bench, system: System, options: Mapping[str, Any]) -> System:
    """The system with a place for its store, which later rounds and runs find filled."""
    own = {**options, "count": QUERIES[not system.theirs]}
    stores = bench.work / "stores"
    place = stores / f"{system.worker}-{bench.key(system, own)}"
    for old in stores.glob(f"{system.worker}-*"):
        if old != place:
            shutil.rmtree(old)
    return replace(system, options={**own, "store": str(place)})


def _times(rounds: Sequence[Round], note: str, skipped: Sequence[System]) -> Table:
    columns = ("system", "scope", "mode", "p50, ms", "p95, ms", "ours is × as fast (p50)")
    table = Table("Search", columns, left=3)
    ours = rounds[0][OURS]["times"]
    for key in ours:
        scope, _, mode = key.rpartition(", ")
        table.add(OURS, scope, mode, *_points(rounds, OURS, key), None)
    for name in rounds[0]:
        for scope in rounds[0][name]["times"] if name != OURS else ():
            ratio = median(
                answers[name]["times"][scope]["p50"]
                / answers[OURS]["times"][f"{scope}, dense"]["p50"]
                for answers in rounds
            )
            table.add(name, scope, "dense", *_points(rounds, name, scope), f"{ratio:.1f}")
    for system in skipped:
        table.add(system.name, MISSING, None, None, None, None)
    table.note = (
        f"{note}Medians over {len(rounds)} interleaved rounds, each system in a process of its "
        "own; one query at a time, k = 10, query vectors known beforehand. Ours: "
        f"{QUERIES[True]} queries, each with another patient or another cohort of {COHORT}; "
        f"theirs: {QUERIES[False]}, in Qdrant's local mode, which searches exactly. Ours is "
        "compared in the same mode, dense."
    )
    return table


def _points(rounds: Sequence[Round], name: str, key: str) -> list[str]:
    return [
        f"{median(answers[name]['times'][key][point] for answers in rounds):.2f}"
        for point in ("p50", "p95")
    ]


def _store(answer: Mapping[str, Any]) -> Table:
    table = Table("Search: our store", ("what", "measured"))
    chunks = answer["chunks"]
    table.add("dense search", "exact" if answer["exact"] else "by the graph")
    for scope, recall in answer["recall"].items():
        table.add(f"recall@10 of dense search against exact search, {scope}", f"{recall:.3f}")
    table.add("writing, chunks/s", f"{chunks / answer['write_seconds']:,.0f}")
    table.add("building the graph, s", f"{answer['optimise_seconds']:.1f}")
    marks = answer["memory"]["resident"]
    table.add("resident while filling, MB: before, each quarter of the time",
              ", ".join(f"{mark / 1e6:,.0f}" for mark in marks))  # fmt: skip
    table.note = "Recall over the same queries, ties counted as found."
    return table


def _goals(rounds: Sequence[Round]) -> list[Goal]:
    found = []
    for scope, bound in (("one patient", ONE), ("all patients", ALL)):
        for mode in ("hybrid", "dense"):
            key = f"{scope}, {mode}"
            p95 = median(answers[OURS]["times"][key]["p95"] for answers in rounds)
            found.append(goals.below(f"p95 of a query, {key}", bound, p95, "ms"))
    return found


if __name__ == "__main__":
    main()
