"""What `drehr-rag train run benchmarks/training.toml` learnt: before and after, against the goals.

    python -m benchmarks.trained work [--markdown docs/measurements.md]

Reads the results that the pipeline wrote. Dense search alone, multi-patient, nDCG@10.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks import machine
from benchmarks.tables import Table, write_block
from drehr_rag.eval.comparing.intervals import intervals
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, Cell

MODULE = "benchmarks.trained"
MODELS = {"minilm": "MiniLM", "stage1": "after stage 1", "stage2": "after stage 2"}
MEASURE = "nDCG@10"

SETS = {
    "vaers2004": "people's labels",
    "mtsamples_report": "silver labels, from the graphs that stage 1 knows",
    "ncbi": "people's labels; abstracts, not notes",
    "aci_primock": "silver labels; no note of these was trained on",
}

Floats = NDArray[np.float64]

OWN_WORDS = ("synonym", "abbreviation", "hyponym")
"""Match types that string search misses and the graphs know."""

GOALS = {
    ("vaers2004", ALL): 1.7,
    ("mtsamples_report", ALL): 1.2,
    **{("mtsamples_report", kind): 1.4 for kind in OWN_WORDS},
}
"""Least ratio to MiniLM after both stages; everywhere else it is 1."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trained", description=__doc__)
    parser.add_argument("work", type=Path, help="folder of the pipeline")
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    stamp = machine.describe(MODULE)
    tables = [table_of(name, results_of(options.work, name)) for name in SETS]
    for table in tables:
        table.show(Console(width=150))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        body = "\n\n".join(table.markdown() for table in tables)
        write_block(
            options.markdown, "trained", f"## Trained on open data\n\n{head}\n\n{body}", by=MODULE
        )


def results_of(work: Path, name: str) -> dict[str, Result]:
    """A set's result of each model."""
    return {model: Result.load(work / f"report-{name}-{model}") for model in MODELS}


def table_of(name: str, results: Mapping[str, Result]) -> Table:
    """A row for each match type: means, ratios to the first model, and the goal."""
    table = Table(
        f"Trained: {name}",
        ["match", "queries", *MODELS.values(), "stage 1 / MiniLM", "stage 2 / MiniLM", "goal", ""],
        note=f"{MEASURE}; {SETS[name]}. Ratios of means over queries with 95 % intervals (BCa, "
        "queries drawn with replacement); one training, one seed.",
    )
    first = results["minilm"]
    for match in dict.fromkeys(cell.match for cell in first.scores if cell.measure == MEASURE):
        before, *after = (values(result, match) for result in results.values())
        goal = GOALS.get((name, match), 1.0)
        ratio = after[-1].mean() / before.mean()
        means = [float(found.mean()) for found in (before, *after)]
        shown = [ratio_of(found, before) for found in after]
        verdict = "reached" if ratio >= goal else "MISSED"
        table.add(match, len(before), *means, *shown, f"≥ {goal:g}", verdict)
    return table


def values(result: Result, match: str) -> Floats:
    """Per query, in an order that all results of a set share."""
    items = result.items(Cell("multi-patient", match, MEASURE))
    return np.array([items[query] for query in sorted(items)])


def ratio_of(after: Floats, before: Floats) -> str:
    """The ratio of the means; a pooled mean with `before` for sizes is just that."""
    low, high = intervals(after[:, None], before)[0]
    return f"{after.mean() / before.mean():.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
