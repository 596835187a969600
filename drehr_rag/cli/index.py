"""`drehr-rag index`: notes into a store."""

import sys
from contextlib import closing, redirect_stdout
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from drehr_rag.cli._options import (
    AccessOptions,
    Column,
    Constant,
    EncoderName,
    Format,
    Further,
    Json,
    LayoutOptions,
    Store,
    access_of,
    layout_of,
    pairs,
)
from drehr_rag.cli._show import console, print_json, told
from drehr_rag.engines import load_engine
from drehr_rag.errors import BadArgument, NoteError
from drehr_rag.index import EhrIndex
from drehr_rag.notes.readers import Fields
from drehr_rag.protocols import Engine
from drehr_rag.types import IndexReport


def command(
    sources: Annotated[list[Path], typer.Argument(help="Files or folders of notes.")],
    store: Store,
    encoder: EncoderName = None,
    backend: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="auto (default: what turns out faster here), torch or openvino."),
    ] = None,
    device: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="cpu, cuda, cuda:1, …; given several times, as many processes."),
    ] = None,
    format: Format = None,
    column: Column = None,
    constant: Constant = None,
    metadata: Further = None,
    chunker: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="sections (default) or words."),
    ] = None,
    cleaning: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="For --chunker words: dr_ehr or cliniq."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first unreadable row.")] = False,
    rejects: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File for unreadable rows; by default in the store."),
    ] = None,
    layout: LayoutOptions = None,
    access: AccessOptions = None,
    engine: Annotated[
        str, typer.Option(help="local: this process; ray: many (extra ray; RAY_ADDRESS to join).")
    ] = "local",
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="For --engine ray: processes that encode; 2 by default."),
    ] = None,
    gpus_per_worker: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="For --engine ray: GPUs of each worker; 0.5: two share one."),
    ] = None,
    json: Json = False,
) -> None:
    """Index clinical notes. Run it again after an interruption or a change: it goes on from there.

    [bold]Example:[/bold] drehr-rag index notes.jsonl.gz --store ./ehr.idx --encoder offline
    --column patient_id=subject_id
    """
    fields = Fields(pairs(column, "--column"), pairs(constant, "--set"), tuple(metadata or ()))
    if cleaning and chunker != "words":
        raise BadArgument("--cleaning goes with --chunker words")
    if store.strip() == ":memory:":
        raise BadArgument("a store in memory ends with this command: name a folder or a server")
    for source in sources:
        if not source.exists():
            raise NoteError(f"there is no file or folder {source}")
    if device and engine != "local":
        raise BadArgument(f"--device goes with --engine local: {engine} places its own workers")
    options = {"cleaning": cleaning} if cleaning else None
    loading = {"backend": backend, "device": device and (device if device[1:] else device[0])}
    reports: dict[str, IndexReport] = {}
    err = Console(stderr=True, soft_wrap=True)
    try:
        with (
            told(err),
            redirect_stdout(sys.stderr),  # Ray prints there who died; here stands what was done
            closing(_engine(engine, workers=workers, gpus_per_worker=gpus_per_worker)) as hands,
            EhrIndex.open(
                store,
                encoder=encoder,
                encoder_options={name: value for name, value in loading.items() if value},
                chunker=chunker,
                chunker_options=options,
                layout=layout_of(layout),
                access=access_of(access),
            ) as index,
        ):
            for source, notes in hands.read(sources, format=format, fields=fields):
                with _progress(err, quiet=json) as bar:
                    reports[str(source)] = index.add(
                        notes,
                        engine=hands,
                        strict=strict,
                        rejects=rejects,
                        progress=partial(_show, bar, bar.add_task(f"{source.name}: reading")),
                    )
    finally:  # what was done before a later source failed is told too
        if json and reports:
            print_json({name: asdict(report) for name, report in reports.items()})
        elif reports:
            console().print(report_table(reports))


def _engine(name: str, **options: Any) -> Engine:
    given = {option: value for option, value in options.items() if value is not None}
    if given and name == "local":
        raise BadArgument("--workers and --gpus-per-worker go with --engine ray")
    return load_engine(name, **given)


def _show(bar: Progress, task: TaskID, report: IndexReport) -> None:
    speed = report.chunks / report.seconds if report.seconds else 0
    text = f"{report.read} notes read, {report.chunks} chunks written, {speed:.0f} a second"
    bar.update(task, description=text)


def _progress(err: Console, *, quiet: bool) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True, disable=quiet)


def report_table(reports: dict[str, IndexReport]) -> Table:
    """What was done, a column a source."""
    table = Table("notes", *(Path(name).name for name in reports))
    for column in table.columns[1:]:
        column.justify = "right"
    for number in ("read", "indexed", "unchanged", "replaced", "rejected"):
        table.add_row(number, *(str(getattr(r, number)) for r in reports.values()))
    table.add_section()
    table.add_row("chunks", *(str(r.chunks) for r in reports.values()))
    table.add_row("truncated", *(str(r.truncated) for r in reports.values()))
    table.add_row("seconds", *(f"{r.seconds:.1f}" for r in reports.values()))
    files = {report.rejects_file for report in reports.values() if report.rejects_file}
    if files:
        table.caption = "why rows were rejected: " + ", ".join(sorted(files))
    return table
