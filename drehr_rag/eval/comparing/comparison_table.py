"""A comparison as rows, as Markdown and as a record for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from drehr_rag.eval.comparing.changes import Change, Passed
from drehr_rag.eval.comparing.comparison import Comparison, Difference
from drehr_rag.eval.comparing.conclusion import conclusion, figure, probability

HOW = (
    "Differences are second minus first, over the same queries. p: two-sided paired randomisation "
    "test over queries, corrected by Holm over {comparisons} comparisons. [ ]: 95 % bootstrap "
    "interval over queries (BCa). d: Cohen's d_z over queries. {flips:,} draws, seed {seed}."
)


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows; the match and the type are left out where all were compared."""
    head = ["Measure", "Setting", "Match", "Type", comparison.a, comparison.b, "Difference"]
    head += ["p (Holm)", "d", "Better, worse, equal", "Queries"]
    rows = [_row(one) for one in comparison.differences]
    kept = [i for i in range(len(head)) if i not in (2, 3) or any(r[i] != "all" for r in rows)]
    return [head[i] for i in kept], [[cells[i] for i in kept] for cells in rows]


def _row(one: Difference) -> list[str]:
    cell, type_ = one.part
    shares = ", ".join(f"{share:.0%}" for share in (one.better, one.worse, one.equal))
    effect = "–" if one.effect is None else f"{one.effect:+.2f}".replace("-", "−")
    p = probability(one.p_holm) + (" *" if one.significant else "")
    means = [f"{one.a:.4f}", f"{one.b:.4f}"]
    place = [cell.shown, cell.setting, cell.match, type_ or "all"]
    return [*place, *means, figure(one), p, effect, shares, f"{len(one.queries):,}"]


def how(comparison: Comparison) -> str:
    """How it was tested, in a sentence or two."""
    said = HOW.format(comparisons=comparison.tested, flips=comparison.flips, seed=comparison.seed)
    if comparison.left_out:
        said += f" Cells left out because only one result has them: {comparison.left_out:,}."
    return said


def markdown(
    comparison: Comparison,
    changed: Sequence[Change] = (),
    texts: Mapping[str, str] | None = None,
) -> str:
    """The table, the conclusion, how it was tested, and the queries that changed most."""
    title = f"{comparison.a} and {comparison.b} on {comparison.benchmark}"
    lines = [f"# {_plain(title)}", ""]
    lines += [_plain(conclusion(comparison)), "", *_table(*table(comparison)), ""]
    lines += [how(comparison), "* a difference may be concluded (p < .05).", ""]
    if changed:
        lines += ["## The queries that changed most", ""]
    for one in changed:
        kind = f" ({one.type})" if one.type else ""
        lines += [f"### {_plain(one.text)}{kind}: {one.difference:+.3f}", ""]
        columns = ["Chunk", f"Rank: {comparison.a}", f"Rank: {comparison.b}", "Judgment"]
        columns += ["Text"] if texts is not None else []
        lines += [*_table(columns, (passage_row(p, texts) for p in one.passages)), ""]
    return "\n".join(lines)


def passage_row(passed: Passed, texts: Mapping[str, str] | None = None) -> list[str]:
    """Chunk, both ranks, judgment; and the text, if texts were asked for."""
    ranks = [str(rank) if rank else "–" for rank in (passed.rank_a, passed.rank_b)]
    text = [] if texts is None else [texts.get(passed.chunk, "–")]
    return [passed.chunk, *ranks, judged(passed), *text]


def judged(passed: Passed) -> str:
    """`relevant, synonym`; with its grade where it is not 1."""
    judgment = passed.judgment
    if judgment is None:
        return "not judged"
    if judgment.grade <= 0:
        return "not relevant"
    grade = f" ({judgment.grade})" if judgment.grade != 1 else ""
    return f"relevant{grade}" + (f", {judgment.match}" if judgment.match else "")


def record(comparison: Comparison, changed: Sequence[Change] = ()) -> dict[str, Any]:
    """Everything, for programs; `queries` holds each query's difference."""
    return {
        "benchmark": comparison.benchmark,
        "a": comparison.a,
        "b": comparison.b,
        "conclusion": conclusion(comparison),
        "comparisons": comparison.tested,
        "left_out": comparison.left_out,
        "seed": comparison.seed,
        "draws": comparison.flips,
        "differences": [_difference(one) for one in comparison.differences],
        "changed": [_change(one) for one in changed],
    }


def _difference(one: Difference) -> dict[str, Any]:
    numbers = ("a", "b", "difference", "interval", "p", "p_holm", "significant", "effect")
    more = ("better", "worse", "equal", "items", "queries")
    named = {name: getattr(one, name) for name in (*numbers, *more)}
    return {**one.part.cell._asdict(), "type": one.part.type, **named}


def _change(one: Change) -> dict[str, Any]:
    passages = [
        {
            "chunk": passed.chunk,
            "rank_a": passed.rank_a,
            "rank_b": passed.rank_b,
            "grade": passed.judgment.grade if passed.judgment else None,
            "match": passed.judgment.match if passed.judgment else None,
        }
        for passed in one.passages
    ]
    named = {name: getattr(one, name) for name in ("query", "text", "type", "difference")}
    return {**named, "passages": passages}


def _table(head: Sequence[str], rows: Any) -> list[str]:
    lines = [list(head), ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(_plain, line)) + " |" for line in lines]


def _plain(text: str) -> str:
    """On one line, and nothing in it is Markdown's or HTML's."""
    line = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("`", "\\`")
