"""How far a build is, and the account of one that is done."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from drehr_rag.cli._show import console, print_json
from drehr_rag.training.building import Progress as Told
from drehr_rag.training.outcomes import Tally


@contextmanager
def counting(title: str, *, quiet: bool) -> Iterator[Told]:
    """Chunks, examples and failures so far, on stderr where that is a terminal."""
    errors = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    off = quiet or not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=off) as bar:
        task = bar.add_task(title, total=None)

        def told(tally: Tally) -> None:
            failed = sum(tally.failures.values())
            said = f"{title}: {tally.chunks:,} chunks, {tally.examples:,} examples"
            bar.update(task, description=f"{said}, {failed:,} failures" if failed else said)

        yield told


def show_manifest(manifest: Mapping[str, Any], output: Path, *, json: bool) -> None:
    """What was read, made, refused and failed: a table for people, the manifest for programs."""
    if json:
        print_json(manifest)
        return
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for group in ("corpus", "", "counts", "failures"):
        found = manifest[group] if group else {n: manifest[n] for n in ("chunks", "examples")}
        rows = {name: count for name, count in found.items() if not (group and name == "chunks")}
        for name, count in rows.items():
            table.add_row(f"failed: {name}" if group == "failures" else name, f"{count:,}")
        if rows:
            table.add_section()
    out = console()
    out.print(table)
    out.print(f"{output}: {manifest['examples']:,} examples")
    if manifest["settings"].get("allow_leakage"):
        out.print("--allow-leakage: held-out chunks were used if there were any")
