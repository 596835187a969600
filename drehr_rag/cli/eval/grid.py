"""`drehr-rag eval grid`: systems × benchmarks from one file."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.table import Table

from drehr_rag.cli._options import Json
from drehr_rag.cli._show import console, print_json
from drehr_rag.cli.eval import _options as o
from drehr_rag.eval._files import written
from drehr_rag.eval.grid import read_grid, run_grid
from drehr_rag.eval.grid_table import grid_table


def command(
    grid: Annotated[Path, typer.Argument(help="TOML file: see docs/evaluation.md.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the results; it may hold some.")],
    match: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Also show this match type: synonym, implication, …; may be repeated."),
    ] = None,
    markdown: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the table there, as Markdown."),
    ] = None,
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
    table = grid_table(found, matches=match or ())
    if markdown:
        with written(markdown) as stream:
            stream.write(table.markdown())
    if json:
        print_json(
            [
                {
                    "system": name,
                    "benchmark": place,
                    "measure": measure,
                    **asdict(mean),
                    "search_p50_ms": table.times.get(place, {}).get(name),
                }
                for name, row in table.rows
                for (place, measure), mean in zip(table.columns, row, strict=True)
            ]
        )
        return
    shown = Table("system", title=f"{grid.name}: means over queries", title_justify="left")
    for place, what in table.headings:
        shown.add_column(f"{place}\n{what}", justify="right")
    for row in table.cells():
        shown.add_row(*row)
    screen = console()
    screen.width = max(screen.width, 24 + 24 * len(table.headings))
    screen.print(shown)
    screen.print(
        "[ ]: 95 % bootstrap interval over queries; *: highest of its column; p50: of a query "
        "besides its encoding, k = 10",
        markup=False,
    )
