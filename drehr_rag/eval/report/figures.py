"""What the page shows above the queries: tables, curves, latency, conclusions, where from."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from drehr_rag import __version__
from drehr_rag.eval.comparing.comparison_table import how, table
from drehr_rag.eval.comparing.conclusion import conclusion
from drehr_rag.eval.comparing.differences import compare_all
from drehr_rag.eval.comparing.means import Mean, means
from drehr_rag.eval.depth import DEPTHS, Ranks, curve
from drehr_rag.eval.results import Result

SKIPPED = ("form", "files", "latency_ms", "name", "benchmark")
"""Of a manifest: for programs, or shown elsewhere on the page."""


def figures(results: Sequence[Result], ranked: Sequence[Ranks], seed: int) -> dict[str, Any]:
    """The page's figures, as its script reads them."""
    return {
        "benchmark": results[0].benchmark,
        "data": flat(results[0].manifest.get("benchmark", {})),
        "made": datetime.now(UTC).isoformat(timespec="minutes"),
        "version": __version__,
        "seed": seed,
        "left_out": len({cell for r in results for cell in r.scores}) - _common(results),
        "results": [_result(result) for result in results],
        "parts": [
            {
                **row.part.cell._asdict(),
                "measure": row.part.cell.shown,
                "type": row.part.type,
                "means": [_ends(mean) for mean in row.means],
                "queries": row.queries,
                "items": row.items,
            }
            for row in means(results, seed=seed)
        ],
        "depths": DEPTHS,
        "curves": [_curve(*pair, seed) for pair in zip(results, ranked, strict=True)],
        "comparisons": _comparisons(results, seed),
    }


def flat(record: Mapping[str, Any], above: str = "") -> list[list[str]]:
    """A manifest's names and values, nested ones by their path: `versions › numpy`."""
    rows: list[list[str]] = []
    for name, value in record.items():
        path = f"{above} › {name}" if above else str(name)
        if isinstance(value, Mapping):
            rows += flat(value, path)
        elif value is not None:
            said = value if isinstance(value, str) else json.dumps(value, default=str)
            rows.append([path, said])
    return rows


def _common(results: Sequence[Result]) -> int:
    return sum(all(cell in other.scores for other in results) for cell in results[0].scores)


def _result(result: Result) -> dict[str, Any]:
    shown = {name: value for name, value in result.manifest.items() if name not in SKIPPED}
    latency = result.manifest.get("latency_ms")
    return {"name": result.name, "facts": flat(shown), "latency": latency or None}


def _ends(mean: Mean) -> list[float | None]:
    return [None if x is None else round(x, 4) for x in (mean.value, mean.low, mean.high)]


def _curve(result: Result, ranked: Ranks, seed: int) -> dict[str, list[float]]:
    found = curve(result, ranked, seed=seed)
    return {name: getattr(found, name).round(4).tolist() for name in ("mean", "low", "high")}


def _comparisons(results: Sequence[Result], seed: int) -> list[dict[str, Any]]:
    shown = []
    for comparison in compare_all(results, seed=seed):
        head, rows = table(comparison)
        signs = {one.difference > 0 for one in comparison.differences if one.significant}
        tone = (
            "none"
            if not signs
            else "mixed"
            if len(signs) == 2
            else "up"
            if True in signs
            else "down"
        )
        said = {"sentence": conclusion(comparison), "how": how(comparison), "tone": tone}
        shown.append({**said, "head": head, "rows": rows})
    return shown
