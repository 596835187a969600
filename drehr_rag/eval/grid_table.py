"""A grid's results in one table: a row a system, a column a benchmark and measure, and its time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from drehr_rag.eval.comparing.means import Mean, Row, means
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, Scores

MEASURES = ("nDCG@10", "R@100")
"""What is shown of the multi-patient setting; the rest is in the results."""

TIME = "p50, ms"
"""Heading of a query's time besides its encoding."""


@dataclass(frozen=True)
class GridTable:
    """The means with their 95 % intervals over queries.

    Attributes:
        columns: Benchmark and measure, with the match type unless it is all.
        rows: A system's name and its means, in the order of the columns.
        times: Benchmark → system → median of a query's milliseconds besides its encoding; a
            result that does not tell it is left out.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Mean, ...]], ...]
    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def headings(self) -> list[tuple[str, str]]:
        """Of the columns after the system's: those of means, then a time for each benchmark."""
        return [*self.columns, *((benchmark, TIME) for benchmark in self.times)]

    def text(self, place: int, mean: Mean) -> str:
        """A mean with its interval, `*` where none of its column is higher."""
        best = max(row[place].value for _, row in self.rows)
        ends = f" [{_short(mean.low)}, {_short(mean.high)}]" if mean.low is not None else ""
        return f"{_short(mean.value)}{'*' if mean.value == best else ''}{ends}"

    def cells(self) -> list[list[str]]:
        """Each row as text: the system, its means, its times."""
        return [
            [
                name,
                *(self.text(place, mean) for place, mean in enumerate(found)),
                *(f"{of[name]:.1f}" if name in of else "" for of in self.times.values()),
            ]
            for name, found in self.rows
        ]

    def markdown(self) -> str:
        """As Markdown."""
        head = ["system", *(f"{name}, {what}" for name, what in self.headings)]
        rows = [head, ["---", *["---:"] * len(self.headings)], *self.cells()]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def grid_table(
    found: Mapping[str, Sequence[Result]],
    *,
    measures: Sequence[str] = MEASURES,
    matches: Sequence[str] = (),
) -> GridTable:
    """The table of what `run_grid` gives: the same systems for each benchmark.

    Args:
        found: Each benchmark's results.
        measures: By their names in the results.
        matches: Match types that get columns of their own where a benchmark has them.
    """
    columns: list[tuple[str, str]] = []
    rows: dict[str, list[Mean]] = {}
    for benchmark, results in found.items():
        few = [replace(one, scores=_few(one, measures, {ALL, *matches})) for one in results]
        for row in means(few):
            if row.part.type is None:
                columns.append((benchmark, _heading(row)))
                for one, mean in zip(results, row.means, strict=True):
                    rows.setdefault(one.name, []).append(mean)
    times = {benchmark: _times(results) for benchmark, results in found.items()}
    told = {benchmark: of for benchmark, of in times.items() if of}
    return GridTable(tuple(columns), tuple((name, tuple(row)) for name, row in rows.items()), told)


def _few(result: Result, measures: Sequence[str], matches: set[str]) -> Scores:
    return {
        cell: values
        for cell, values in result.scores.items()
        if cell.setting == "multi-patient" and cell.match in matches and cell.measure in measures
    }


def _heading(row: Row) -> str:
    cell = row.part.cell
    return cell.shown if cell.match == ALL else f"{cell.shown}, {cell.match}"


def _times(results: Sequence[Result]) -> dict[str, float]:
    told = {one.name: one.manifest.get("latency_ms", {}).get("search_p50") for one in results}
    return {name: time for name, time in told.items() if time is not None}


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".removeprefix("0")
