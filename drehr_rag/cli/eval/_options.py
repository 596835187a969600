"""Options and output that the evaluation's commands share."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from drehr_rag.cli._options import pairs
from drehr_rag.cli._show import console, print_json
from drehr_rag.errors import BadArgument
from drehr_rag.eval.passages import Texts, passages_of, read_passages
from drehr_rag.eval.results import Result
from drehr_rag.eval.runs import Run
from drehr_rag.eval.scoring import named_in_notes
from drehr_rag.eval.tables import grid, lines
from drehr_rag.eval.task import Measures, Task

Options = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--option",
        help="The benchmark's own: split=dev (beir), chunker=words (ward), notes=NOTEEVENTS.csv.gz "
        "and ids=FILE (cliniq); may be repeated.",
        metavar="NAME=VALUE",
    ),
]
Measure = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--measure",
        help="Instead of the benchmark's own, in its settings: nDCG@20, P@5, …; may be repeated.",
    ),
]
Missing = Annotated[
    str, typer.Option(help="Queries that a run leaves out: error, or zero (nothing found).")
]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", help="New folder for the result; see compare and report."),
]


WithText = Annotated[bool, typer.Option("--with-text", help="Show passages' text (note text!).")]
Passages = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--passages",
        help="With --with-text: the texts (lines {_id, text}), if not the benchmark's.",
    ),
]


def missing_of(missing: str) -> str:
    """`--missing`, checked."""
    if missing not in ("error", "zero"):
        raise BadArgument(f"--missing is error or zero, not {missing!r}")
    return missing


NAMED = 0.99
"""Share of the judged notes' chunks that a run must name to be scored in the single-patient
setting: those it leaves out would count as not retrieved."""


def without_shallow(task: Task, run: Run, measures: Measures, single: Run | None) -> Measures:
    """The measures, without the single-patient setting if the run does not go deep enough."""
    if single is not None or "single-patient" not in measures:
        return measures
    named, total = named_in_notes(task, run)
    if not total or named >= NAMED * total:
        return measures
    Console(stderr=True, soft_wrap=True).print(
        f"single-patient left out: the run names {named:,} of the {total:,} chunks of notes with a "
        "relevant chunk. Score a run of all chunks, or give --single-run"
    )
    return {setting: names for setting, names in measures.items() if setting != "single-patient"}


def options_of(options: list[str] | None) -> dict[str, Any]:
    """`--option`, as the benchmark takes it."""
    return dict(pairs(options, "--option"))


def numbers_of(options: list[str] | None, what: str) -> dict[str, Any]:
    """Options of which those that look like numbers are numbers."""
    return {name: _number(value) for name, value in pairs(options, what).items()}


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def texts_of(result: Result, wanted: bool, file: Path | None) -> Texts | None:
    """Where passages' texts come from, if they are to be shown: a file, or the benchmark.

    Raises:
        BadArgument: A file is named, and no text is to be shown.
    """
    if file and not wanted:
        raise BadArgument("--passages FILE goes with --with-text")
    if not wanted:
        return None
    return partial(read_passages, file) if file else partial(passages_of, result)


def bar(quiet: bool) -> Progress:
    """What is done, of how much, and how long it will take, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    err = Console(stderr=True)
    off = quiet or not err.is_terminal
    return Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=off)


def tell(
    bar: Progress, tasks: dict[str, TaskID], title: str, what: str, done: int, total: int
) -> None:
    """Show how far something is; `tasks` are the bars that are there."""
    if what not in tasks:
        tasks[what] = bar.add_task(f"{title}: {what}", total=total)
    bar.update(tasks[what], completed=done)


def command_line() -> str:
    """The command as it was typed, for the manifest."""
    return " ".join(["drehr-rag", *sys.argv[1:]])


WIDTH = 120
"""Columns of output where it is no terminal, or a narrow one: a table is cut otherwise."""


def show(results: Sequence[Result], *, json: bool) -> None:
    """Results side by side: a table for people, or records for programs."""
    if json:
        found = [asdict(line) for line in lines(results)]
        systems = [{"name": r.name, "manifest": dict(r.manifest)} for r in results]
        print_json({"benchmark": results[0].benchmark, "systems": systems, "lines": found})
        return
    out = console()
    out.width = max(out.width, WIDTH + (30 if len(results) > 1 else 0))
    out.print(_table(results))
    for one in results:
        if latency := one.manifest.get("latency_ms"):
            out.print(
                f"{one.name}: a query takes {latency['p50']:.1f} ms (p50), {latency['p95']:.1f} ms "
                f"(p95), its encoding included ({latency['queries']} queries, k = 10)"
            )


def _table(results: Sequence[Result]) -> Table:
    found, several = grid(results), len(results) > 1
    caption = "*: the best of those side by side" if several else None
    table = Table(title=results[0].benchmark, title_justify="left", caption=caption)
    for name in ("measure", *(["system"] if several else [])):
        table.add_column(name, no_wrap=True)
    for group in found.groups:
        table.add_column(group.replace(" ", "\n"), justify="right", min_width=5)
    setting = ""
    for where, measure, system, figures in found.rows:
        if where != setting:
            table.add_section()
            table.add_row(f"[bold]{where}[/bold]")
            setting = where
        names = [measure, system] if several else [measure]
        table.add_row(*names, *figures, style=None if system else "dim")
    return table
