"""`drehr-rag train check`: whether examples hold what a benchmark judges."""

import json as json_
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from drehr_rag._files import written
from drehr_rag.cli._options import Json
from drehr_rag.cli._show import console, print_json
from drehr_rag.cli.train import _guard as g
from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.examples import read_examples
from drehr_rag.training.leakage.guard import Guard, LeakReport, leak_record

SHOWN = 10
"""Leaks in the table; all of them with --leaks or --json."""


def command(
    examples: Annotated[list[Path], typer.Argument(help="Files of examples.", metavar="EXAMPLES…")],
    held_out: g.HeldOutFile = None,
    against: g.Against = None,
    threshold: g.Threshold = g.DEFAULT,
    templates: g.Templates = "drop",
    allow: g.Allow = False,
    leaks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--leaks", help="Write every leak, a line each, without text."),
    ] = None,
    json: Json = False,
) -> None:
    """Check examples against held-out ids and texts; exits with 1 if one of them leaks.

    [bold]Example:[/bold] drehr-rag train check stage2.jsonl.gz --against devset:./vaers2004
    """
    guard = g.guard_of(held_out, against, threshold, templates)
    if guard is None:
        raise BadArgument("say what is held out: --held-out FILE, --against BENCHMARK:PLACE")
    report = guard.report(
        (example.idx, example.text) for file in examples for example in read_examples(file)
    )
    if not report.checked:
        raise TrainingError("there is no example to check")
    if leaks:
        with written(leaks, error=TrainingError) as file:
            file.writelines(json_.dumps(leak_record(leak)) + "\n" for leak in report.leaks)
    if json:
        print_json(_record(guard, report))
    else:
        _show(report)
    if report.leaks and not allow:
        raise typer.Exit(1)


def _record(guard: Guard, report: LeakReport) -> dict[str, object]:
    return {
        "settings": guard.settings(),
        "checked": report.checked,
        "counts": dict(report.counts),
        "ids": report.ids,
        "ids_met": report.ids_met,
        "leaks": [leak_record(leak) for leak in report.leaks],
    }


def _show(report: LeakReport) -> None:
    table = Table(title="leaks", title_justify="left")
    for name, right in (("kind", False), ("example", False), ("held out", False), ("share", True)):
        table.add_column(name, justify="right" if right else "left")
    for leak in sorted(report.leaks, key=lambda one: -one.overlap)[:SHOWN]:
        table.add_row(leak.kind, leak.idx, leak.held_out, f"{leak.overlap:.2f}")
    out = console()
    if report.leaks:
        out.print(table)
    said = ", ".join(f"{count:,} by {kind}" for kind, count in sorted(report.counts.items()))
    out.print(f"{report.checked:,} examples: {said or 'none leaks'}")
    if report.ids and not report.ids_met:
        out.print(f"none of the {report.ids:,} held-out ids occurs: are they ids of other notes?")
