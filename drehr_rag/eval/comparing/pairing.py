"""Two results side by side: what they have in common, and whether they may be compared at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drehr_rag.errors import EvaluationError, UnknownName
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, Cell, query_of

Floats = NDArray[np.float64]

By = Literal["match", "type"]

SAME = ("data", "notes", "chunker", "passages", "queries", "judgments")
"""What manifests must agree on about the benchmark, where both say it; where it lies may differ."""


class Part(NamedTuple):
    """What is compared: a cell, of all queries or of those of one type."""

    cell: Cell
    type: str | None = None

    def __str__(self) -> str:
        """As tables and sentences name it: `nDCG@10 (multi-patient, all)`."""
        kind = f", {self.type}" if self.type else ""
        return f"{self.cell.shown} ({self.cell.setting}, {self.cell.match}{kind})"


@dataclass(frozen=True)
class Pairs:
    """Two results' values of one part, added up by query.

    Attributes:
        queries: Their ids.
        sizes: How many items each has: 1, or its notes in the single-patient setting.
        a: Per query, the sum of the first result's values over its items.
        b: Of the second.
    """

    queries: list[str]
    sizes: Floats
    a: Floats
    b: Floats


def refuse_unlike(a: Result, b: Result) -> None:
    """Refuse two results whose difference would say nothing about the systems.

    Raises:
        EvaluationError: They are of other benchmarks, data, queries, judgments or match types.
    """
    if a.benchmark != b.benchmark:
        raise EvaluationError(
            f"results of two benchmarks cannot be compared: {a.benchmark!r} and {b.benchmark!r}"
        )
    _refuse_other("queries", a.queries, b.queries)
    flat = [{(q, c): j for q, row in r.qrels.items() for c, j in row.items()} for r in (a, b)]
    _refuse_other("judgments", *flat)
    ours, theirs = (r.manifest.get("benchmark", {}) for r in (a, b))
    for name in SAME:
        if name in ours and name in theirs and ours[name] != theirs[name]:
            raise EvaluationError(
                f"the results were measured on other data: their manifests' {name} are not the "
                f"same ({_differing(ours[name], theirs[name])})"
            )
    _refuse_other("match types", *({c.match: None for c in r.scores} for r in (a, b)))


def chosen(
    a: Result, b: Result, *, measures: Sequence[str] = (), by: Sequence[By] = ()
) -> list[Part]:
    """The parts to compare: every measure of each setting over all relevant chunks.

    Args:
        a: A result.
        b: Another.
        measures: Only these; all that both have if none is named.
        by: Also by match type, or by query type.

    Raises:
        UnknownName: A measure is not among the common ones.
        EvaluationError: There is no common cell.
    """
    common = [cell for cell in a.scores if cell in b.scores]
    if not common:
        raise EvaluationError(
            f"the results have no measure in common: of {len(a.scores):,} and "
            f"{len(b.scores):,} cells none is the same"
        )
    known = list(dict.fromkeys(cell.shown for cell in common))
    for name in measures:
        if not any(name in (cell.measure, cell.shown) for cell in common):
            raise UnknownName(f"no common measure is called {name!r}: there are {', '.join(known)}")
    cells = [c for c in common if not measures or {c.measure, c.shown} & set(measures)]
    whole = [cell for cell in cells if cell.match == ALL]
    parts = [Part(cell) for cell in whole]
    if "match" in by:
        parts += [Part(cell) for cell in cells if cell.match != ALL]
    if "type" in by:
        types = list(dict.fromkeys(query.type for query in a.queries.values() if query.type))
        parts += [Part(cell, t) for cell in whole for t in types if a.items(cell, t)]
    return parts


def paired(a: Result, b: Result, part: Part) -> Pairs:
    """Both results' values of a part, by query.

    Raises:
        EvaluationError: One of them has other items, or neither has any.
    """
    ours, theirs = a.items(*part), b.items(*part)
    _refuse_other(f"items of {part}", dict.fromkeys(ours), dict.fromkeys(theirs))
    if not ours:
        raise EvaluationError(f"no query has a value for {part}")
    queries = list(dict.fromkeys(map(query_of, ours)))
    sums = by_query(queries, [ours, theirs, dict.fromkeys(ours, 1.0)])
    return Pairs(queries, sums[:, 2], sums[:, 0], sums[:, 1])


def by_query(queries: Sequence[str], columns: Sequence[Mapping[str, float]]) -> Floats:
    """Sums of items' values over each query: shape (queries, columns)."""
    place = {query: i for i, query in enumerate(queries)}
    sums = np.zeros((len(queries), len(columns)))
    for number, values in enumerate(columns):
        rows = [place[query_of(item)] for item in values]
        np.add.at(sums[:, number], rows, list(values.values()))
    return sums


def _refuse_other(what: str, a: Mapping[Any, Any], b: Mapping[Any, Any]) -> None:
    only_a, only_b = sum(key not in b for key in a), sum(key not in a for key in b)
    other = sum(key in b and b[key] != value for key, value in a.items())
    if only_a or only_b or other:
        counts = f"{only_a:,} only in the first, {only_b:,} only in the second, {other:,} changed"
        raise EvaluationError(f"the results' {what} are not the same: {counts}")


def _differing(a: Any, b: Any) -> str:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        names = sorted(str(key) for key in {*a, *b} if a.get(key) != b.get(key))
        return ", ".join(names)
    return f"{a} and {b}"
