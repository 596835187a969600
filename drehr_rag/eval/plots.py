"""Results as pictures: bars with intervals and recall by depth, as PNG by matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drehr_rag._extras import require
from drehr_rag.errors import EvaluationError
from drehr_rag.eval.comparing.means import Row, check_together, means
from drehr_rag.eval.depth import DEPTHS, curve
from drehr_rag.eval.results import Result

COLOURS = ("#1f5fa8", "#b45309", "#1c7f62", "#8a3fb5", "#a8324a", "#5d6b78")
"""The page's, in its order (`report/assets/style.css`)."""

DPI = 150


def write_plots(results: Sequence[Result], folder: str | Path, *, seed: int = 0) -> list[Path]:
    """Write `bars-SETTING.png` for each setting and `recall-by-depth.png`.

    Args:
        results: Of the same data.
        folder: Where; made if it is not there, and pictures in it are replaced.
        seed: Of the intervals' draws.

    Raises:
        EvaluationError: The results are not of the same data, or the folder cannot be written.
        MissingExtra: matplotlib is not installed.
    """
    check_together(results)
    require("matplotlib", extra="eval")
    place = Path(folder)
    rows = [row for row in means(results, seed=seed) if row.part.type is None]
    pictures = {
        f"bars-{setting}": _bars(results, [r for r in rows if r.part.cell.setting == setting])
        for setting in dict.fromkeys(row.part.cell.setting for row in rows)
    }
    pictures["recall-by-depth"] = _depth(results, seed)
    try:
        place.mkdir(parents=True, exist_ok=True)
        return [_saved(picture, place / f"{name}.png") for name, picture in pictures.items()]
    except OSError as problem:
        raise EvaluationError(f"{place} cannot be written: {problem.strerror}") from None


def _figure(width: float, height: float) -> Any:
    """A figure of its own canvas: pyplot would keep it, and might open a window."""
    figures = require("matplotlib.figure", extra="eval")
    return figures.Figure(figsize=(width, height), layout="constrained")


def _saved(figure: Any, file: Path) -> Path:
    figure.savefig(file, dpi=DPI, metadata={"Software": None})  # the same bytes each time
    return file


def _bars(results: Sequence[Result], rows: Sequence[Row]) -> Any:
    """One panel a measure; in it one group a match type, one bar a result."""
    measures = list(dict.fromkeys(row.part.cell.shown for row in rows))
    matches = list(dict.fromkeys(row.part.cell.match for row in rows))
    figure = _figure(2.2 + 2.1 * len(measures), 1.3 + 0.22 * (len(results) + 1) * len(matches))
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for panel, measure in zip(panels, measures, strict=True):
        _panel(panel, [row for row in rows if row.part.cell.shown == measure], results, matches)
        panel.set_title(measure, fontsize=10, loc="left")
    sizes = {row.part.cell.match: row.queries for row in rows}
    names = [f"{match} ({sizes[match]:,})" for match in matches]
    panels[0].set_yticks(range(len(matches)), names, fontsize=9)
    panels[0].invert_yaxis()
    figure.suptitle(f"{results[0].benchmark}, {rows[0].part.cell.setting}", x=0.01, ha="left")
    _legend(figure, panels[0])
    return figure


def _panel(
    panel: Any, rows: Sequence[Row], results: Sequence[Result], matches: Sequence[str]
) -> None:
    height = 0.8 / len(results)
    for number, result in enumerate(results):
        shown = [row.means[number] for row in rows]
        value = np.array([mean.value for mean in shown])
        ends = [[m.value if end is None else end for end in (m.low, m.high)] for m in shown]
        low, high = np.array(ends).T
        at = np.array([matches.index(row.part.cell.match) for row in rows])
        panel.barh(
            at + (number - (len(results) - 1) / 2) * height,
            value,
            height=height * 0.9,
            color=COLOURS[number % len(COLOURS)],
            label=result.name,
            xerr=(np.maximum(0, value - low), np.maximum(0, high - value)),
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#16202c"},
        )
    _plain(panel)
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#dde2e8", zorder=0)
    panel.set_axisbelow(True)


def _depth(results: Sequence[Result], seed: int) -> Any:
    figure = _figure(8, 4.2)
    panel = figure.subplots()
    for number, result in enumerate(results):
        colour = COLOURS[number % len(COLOURS)]
        found = curve(result, seed=seed)
        panel.plot(DEPTHS, found.mean, color=colour, label=result.name, linewidth=1.8)
        panel.fill_between(DEPTHS, found.low, found.high, color=colour, alpha=0.13, linewidth=0)
    ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    panel.set_xscale("log")
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.set_xticks([], minor=True)
    panel.set_xlim(1, DEPTHS[-1])
    panel.set_ylim(0, None)
    panel.set_xlabel("chunks read (k, logarithmic)")
    panel.set_ylabel("Recall@k, mean over queries")
    panel.set_title(f"{results[0].benchmark}: recall by depth", loc="left", fontsize=11)
    panel.grid(color="#dde2e8")
    _plain(panel)
    _legend(figure, panel)
    return figure


def _plain(panel: Any) -> None:
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _legend(figure: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=9, ncols=2)
