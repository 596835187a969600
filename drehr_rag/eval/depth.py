"""Recall by depth: how far down the ranking one must read to find how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drehr_rag.eval.comparing.intervals import Floats, intervals
from drehr_rag.eval.results import Result
from drehr_rag.eval.runs import ranking

DEPTHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
"""As many on each part of a logarithmic axis; a saved run ends at 1,000."""

Ranks = Mapping[str, Mapping[str, int]]
"""Query id → chunk id → rank, from 1, over all chunks that were searched."""


@dataclass(frozen=True)
class Curve:
    """Mean recall at each of `DEPTHS` over queries, with 95 % bootstrap intervals over queries."""

    mean: Floats
    low: Floats
    high: Floats


def ranks(result: Result) -> dict[str, dict[str, int]]:
    """The rank of each chunk in the saved ranking, best first."""
    return {
        query: {chunk: rank for rank, chunk in enumerate(ranking(result.run.get(query, {})), 1)}
        for query in result.queries
    }


def curve(result: Result, ranked: Ranks | None = None, *, seed: int = 0) -> Curve:
    """Recall at each depth; every relevant chunk of a query counts, whatever its match type.

    Args:
        result: Of a run over all patients' chunks.
        ranked: Its `ranks`, if they are at hand.
        seed: Of the intervals' draws.
    """
    places = ranks(result) if ranked is None else ranked
    each = np.array([_recall(result, query, places[query]) for query in result.queries])
    ends = intervals(each, np.ones(len(each)), seed=seed)
    return Curve(each.mean(axis=0), ends[:, 0], ends[:, 1])


def _recall(result: Result, query: str, places: Mapping[str, int]) -> Sequence[float]:
    relevant = [chunk for chunk, j in result.qrels.get(query, {}).items() if j.grade > 0]
    found = sorted(places[chunk] for chunk in relevant if chunk in places)
    counts: Sequence[int] = np.searchsorted(found, DEPTHS, side="right").tolist()
    return [count / max(1, len(relevant)) for count in counts]
