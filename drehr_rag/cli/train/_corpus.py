"""Options and output that the builds of both stages share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from drehr_rag.cli._options import pairs
from drehr_rag.cli._show import console, plain, print_json
from drehr_rag.notes.readers import Fields
from drehr_rag.training.building import Progress, beside
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.outcomes import Tally
from drehr_rag.training.split import Split

Notes = Annotated[
    list[Path], typer.Option("--notes", help="File or folder of notes; may be repeated.")
]
Output = Annotated[
    Path, typer.Option("--output", help="NAME.jsonl or NAME.jsonl.gz; other files stand beside it.")
]
Keep = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Only a part of the notes, by the hash of a column: cluster:0-5/10.",
        metavar="COLUMN:PARTS/OF",
    ),
]
NoteType = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        help="Only notes of this type, e.g. DS of MIMIC-IV; may be repeated. By default any."
    ),
]
Shortest = Annotated[
    int, typer.Option(help="Words of a note below which it is dropped; the paper's 50.", min=0)
]
Cleaning = Annotated[str, typer.Option(help="dr_ehr or cliniq.")]
Seed = Annotated[int, typer.Option(help="Of what is drawn by chance.")]


def corpus_of(
    notes: list[Path],
    output: Path,
    *,
    format: str | None,
    column: list[str] | None,
    constant: list[str] | None,
    keep: str | None,
    note_type: list[str] | None,
    cleaning: str,
    shortest: int,
) -> Corpus:
    """The chunks that the options ask for; unreadable rows go to `NAME.rejects.jsonl`."""
    return Corpus(
        notes,
        format=format,
        fields=Fields(pairs(column, "--column"), pairs(constant, "--set")),
        keep=Split.parse(keep) if keep else None,
        note_types=note_type or (),
        cleaning=cleaning,  # type: ignore[arg-type]  # the chunker refuses any other
        shortest=shortest,
        rejects=beside(output, ".rejects.jsonl"),
    )


@contextmanager
def bar(*, quiet: bool) -> Iterator[Progress]:
    """Shows what is done, on stderr."""
    err = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    off = quiet or not err.is_terminal
    with Bar(*columns, console=err, transient=True, disable=off) as shown:
        task = shown.add_task("reading")

        def progress(tally: Tally) -> None:
            said = f"{tally.chunks:,} chunks, {tally.examples:,} examples"
            failed = sum(tally.failures.values())
            shown.update(task, description=f"{said}, {failed:,} failures" if failed else said)

        yield progress


def show(manifest: Mapping[str, Any], output: Path, *, json: bool) -> None:
    """What was built: a table for people, the manifest for programs."""
    if json:
        print_json(dict(manifest))
        return
    table = Table("", output.name, title_justify="left")
    table.columns[1].justify = "right"
    _rows(table, {name: n for name, n in manifest["corpus"].items() if name != "chunks"})
    _rows(table, {name: manifest[name] for name in ("chunks", "examples")})
    _rows(table, manifest["counts"])
    _rows(table, {f"failed: {reason}": n for reason, n in manifest["failures"].items()})
    table.add_row("seconds", f"{manifest['seconds']:.1f}")
    console().print(table)


def _rows(table: Table, counts: Mapping[str, int]) -> None:
    for name in sorted(counts, key=lambda name: (name.partition(":")[0], -counts[name])):
        table.add_row(plain(name), f"{counts[name]:,}")
    if counts:
        table.add_section()
