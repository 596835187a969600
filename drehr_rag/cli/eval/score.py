"""`drehr-rag eval score`: a run from elsewhere, scored on a benchmark."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from drehr_rag._files import checksum
from drehr_rag.cli._options import Json
from drehr_rag.cli.eval import _options as o
from drehr_rag.cli.eval._benchmark import measures_of
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.results import result
from drehr_rag.eval.runs import read_run
from drehr_rag.eval.scoring import score


def command(
    benchmark: Annotated[str, typer.Argument(help="beir, cliniq, devset, ward, …")],
    run: Annotated[Path, typer.Argument(help="In TREC's form or BEIR's JSON, plain or gzipped.")],
    place: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="The benchmark's folder; the ward is in the package."),
    ] = None,
    single_run: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Another run for the single-patient setting, of searches in one note."),
    ] = None,
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of the system, for tables; by default the file's."),
    ] = None,
    option: o.Options = None,
    measure: o.Measure = None,
    missing: o.Missing = "error",
    out: o.Out = None,
    json: Json = False,
) -> None:
    """Score a run file, whoever made it.

    In the single-patient setting a note's chunks are taken in the run's order, so it is left out
    for a run that was cut at some depth, unless --single-run ranks the notes by themselves.

    [bold]Example:[/bold] drehr-rag eval score devset run.trec.gz ./devset/mtsamples
    """
    task = load_benchmark(benchmark, place, **o.options_of(option))
    given = read_run(run)
    own = read_run(single_run) if single_run else None
    measures = o.without_shallow(task, given, measures_of(task, measure), own)
    scores = score(task, given, single=own, missing=o.missing_of(missing), measures=measures)
    files = {str(file): checksum(file) for file in (run, single_run) if file}
    about = {"system": {"run_files": files}, "command": o.command_line()}
    found = result(name or run.name, task, given, scores, manifest=about)
    if out:
        found.save(out)
    o.show([found], json=json)
