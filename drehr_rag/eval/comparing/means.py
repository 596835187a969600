"""Every mean of several results, with its interval: by setting, match type and query type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.comparing.intervals import intervals
from drehr_rag.eval.comparing.pairing import Part, by_query, refuse_unlike
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, Cell, query_of


@dataclass(frozen=True)
class Mean:
    """A mean over items and its 95 % bootstrap interval over queries (None: under two queries)."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One part's means, one for each result, and over how many queries and items they are."""

    part: Part
    means: tuple[Mean, ...]
    queries: int
    items: int


def check_together(results: Sequence[Result]) -> None:
    """Refuse results that cannot stand in one table.

    Raises:
        EvaluationError: There is none, or one is not of the first's data.
    """
    if not results:
        raise EvaluationError("there is no result to show")
    for other in results[1:]:
        refuse_unlike(results[0], other)


def means(results: Sequence[Result], *, seed: int = 0) -> list[Row]:
    """All parts of all common cells: each match type, and each query type over all matches.

    Args:
        results: Of the same data (`check_together`).
        seed: Of the draws; one drawing of queries serves all measures and results of a part.

    Raises:
        EvaluationError: The results have no cell in common.
    """
    first, *others = results
    cells = [cell for cell in first.scores if all(cell in other.scores for other in others)]
    if not cells:
        raise EvaluationError(f"the {len(results)} results have no measure in common")
    types: list[str | None] = [None]
    types += dict.fromkeys(query.type for query in first.queries.values() if query.type)
    rows: list[Row] = []
    for setting, match in dict.fromkeys((cell.setting, cell.match) for cell in cells):
        block = [cell for cell in cells if (cell.setting, cell.match) == (setting, match)]
        for kind in types if match == ALL else [None]:
            rows += _rows(results, block, kind, seed)
    return rows


def _rows(
    results: Sequence[Result], cells: Sequence[Cell], kind: str | None, seed: int
) -> list[Row]:
    columns = [result.items(cell, kind) for cell in cells for result in results]
    items = columns[0]
    if any(column.keys() != items.keys() for column in columns):
        raise EvaluationError(f"the results have not the same items of {Part(cells[0], kind)}")
    if not items:
        return []
    queries = list(dict.fromkeys(map(query_of, items)))
    sums = by_query(queries, [dict.fromkeys(items, 1.0), *columns])
    ends = intervals(sums[:, 1:], sums[:, 0], seed=seed)
    values = sums[:, 1:].sum(axis=0) / len(items)
    found = [
        Mean(float(value), *(None if np.isnan(end) else float(end) for end in pair))
        for value, pair in zip(values, ends, strict=True)
    ]
    width = len(results)
    return [
        Row(Part(cell, kind), tuple(found[i * width : (i + 1) * width]), len(queries), len(items))
        for i, cell in enumerate(cells)
    ]
