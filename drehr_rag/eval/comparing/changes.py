"""The queries that changed most between two results, with the passages that made the change."""

from dataclasses import dataclass

from drehr_rag.eval.comparing.comparison import Difference
from drehr_rag.eval.results import Result
from drehr_rag.eval.runs import ranking
from drehr_rag.eval.scoring import ALL
from drehr_rag.eval.task import Judgment

TOP = 5
"""Of either ranking, chunks that are shown whatever their judgment."""

SHOWN = 12
"""Chunks shown of a query at most."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A chunk of a query that changed; a rank of None is not among the run's saved chunks."""

    chunk: str
    rank_a: int | None
    rank_b: int | None
    judgment: Judgment | None


@dataclass(frozen=True, slots=True)
class Change:
    """A query that changed: what it gained, and its chunks, best ranked first."""

    query: str
    text: str
    type: str | None
    difference: float
    passages: tuple[Passed, ...]


def headline(differences: tuple[Difference, ...]) -> Difference:
    """The difference whose queries are shown: the first nDCG, or else the first."""
    return next((d for d in differences if d.part.cell.measure.startswith("nDCG")), differences[0])


def changes(a: Result, b: Result, difference: Difference, count: int = 5) -> list[Change]:
    """The queries that changed most, either way, those that changed more first.

    Their ranks are those in the saved rankings, of all chunks, also in the single-patient setting.

    Args:
        a: The first result that was compared.
        b: The second.
        difference: One of the comparison's.
        count: How many queries at most; those that did not change are never among them.
    """
    moved = {query: gain for query, gain in difference.queries.items() if gain}
    most = sorted(moved, key=lambda query: (-abs(moved[query]), query))[:count]
    match = difference.part.cell.match
    return [
        Change(
            query=query,
            text=a.queries[query].text,
            type=a.queries[query].type,
            difference=moved[query],
            passages=_passages(a, b, query, match),
        )
        for query in most
    ]


def _passages(a: Result, b: Result, query: str, match: str) -> tuple[Passed, ...]:
    rankings = [ranking(result.run.get(query, {})) for result in (a, b)]
    ranks = [{chunk: rank for rank, chunk in enumerate(order, 1)} for order in rankings]
    judged = a.qrels.get(query, {})
    relevant = [c for c, j in judged.items() if j.grade > 0 and match in (ALL, j.match)]
    seen = dict.fromkeys([*rankings[0][:TOP], *rankings[1][:TOP], *relevant])
    rows = [Passed(c, ranks[0].get(c), ranks[1].get(c), judged.get(c)) for c in seen]
    return tuple(sorted(rows, key=_best)[:SHOWN])


def _best(row: Passed) -> tuple[float, str]:
    return min((rank for rank in (row.rank_a, row.rank_b) if rank), default=1e9), row.chunk
