"""`drehr-rag eval report`: results as one page to look at, and as pictures."""

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from drehr_rag.cli._show import console
from drehr_rag.cli.eval import _options as o
from drehr_rag.eval.plots import write_plots
from drehr_rag.eval.report.find import find_results
from drehr_rag.eval.report.page import write_page


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result, or a folder of them.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The page; DIR/report.html if not given."),
    ] = None,
    png: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write pictures into this folder (extra eval)."),
    ] = None,
    with_text: o.WithText = False,
    passages: o.Passages = None,
    seed: Annotated[int, typer.Option(help="Of intervals and tests.")] = 0,
) -> None:
    """Write results as one HTML page that needs no network and no other file.

    [bold]Example:[/bold] drehr-rag eval report results/ --out report.html --png pictures/
    """
    results = find_results(folder)
    texts = o.texts_of(results[0], with_text, passages)
    page = out or folder / "report.html"
    cuts = write_page(results, page, texts=texts, seed=seed)
    said = console()
    said.print(Text(f"{page} ({page.stat().st_size / 1e6:.1f} MB): " + "; ".join(cuts)))
    for file in write_plots(results, png, seed=seed) if png else ():
        said.print(Text(str(file)))
