"""`drehr-rag eval grid`: systems × benchmarks from one file."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from drehr_rag.cli._options import Json
from drehr_rag.cli.eval import _options as o
from drehr_rag.eval.grid import read_grid, run_grid


def command(
    grid: Annotated[Path, typer.Argument(help="TOML file: [[benchmark]] and [[system]].")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the results; it may hold some.")],
    json: Json = False,
) -> None:
    """Measure every system on every benchmark. Run it again after an interruption: it goes on.

    [bold]Example:[/bold] drehr-rag eval grid grid.toml --out ./ablation
    """
    plan = read_grid(grid)
    with o.bar(json) as bar:
        found = run_grid(
            plan,
            out,
            command=o.command_line(),
            progress=lambda what: partial(o.tell, bar, {}, what),
        )
    for results in found.values():
        o.show(results, json=json)
