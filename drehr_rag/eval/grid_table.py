"""A grid's results in one table: a row a system, a column a benchmark and measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drehr_rag.eval.comparing.means import Mean, means
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, Scores

MEASURES = ("nDCG@10", "R@100")
"""What is shown of the multi-patient setting, over all match types; the rest is in the results."""


@dataclass(frozen=True)
class GridTable:
    """The means with their 95 % intervals over queries.

    Attributes:
        columns: Benchmark and measure.
        rows: A system's name and its means, in the order of the columns.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Mean, ...]], ...]

    def text(self, place: int, mean: Mean) -> str:
        """A mean with its interval, `*` where none of its column is higher."""
        best = max(row[place].value for _, row in self.rows)
        ends = f" [{_short(mean.low)}, {_short(mean.high)}]" if mean.low is not None else ""
        return f"{_short(mean.value)}{'*' if mean.value == best else ''}{ends}"

    def markdown(self) -> str:
        """As Markdown."""
        head = ["system", *(f"{name}, {measure}" for name, measure in self.columns)]
        rows = [head, ["---", *["---:"] * len(self.columns)]]
        for name, found in self.rows:
            rows.append([name, *(self.text(i, mean) for i, mean in enumerate(found))])
        return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def grid_table(
    found: Mapping[str, Sequence[Result]], *, measures: Sequence[str] = MEASURES
) -> GridTable:
    """The table of what `run_grid` gives: the same systems for each benchmark."""
    columns: list[tuple[str, str]] = []
    rows: dict[str, list[Mean]] = {}
    for benchmark, results in found.items():
        few = [replace(one, scores=_few(one, measures)) for one in results]
        for row in means(few):
            if row.part.type is None:
                columns.append((benchmark, row.part.cell.shown))
                for one, mean in zip(results, row.means, strict=True):
                    rows.setdefault(one.name, []).append(mean)
    return GridTable(tuple(columns), tuple((name, tuple(row)) for name, row in rows.items()))


def _few(result: Result, measures: Sequence[str]) -> Scores:
    return {
        cell: values
        for cell, values in result.scores.items()
        if cell.setting == "multi-patient" and cell.match == ALL and cell.measure in measures
    }


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".removeprefix("0")
