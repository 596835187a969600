"""`drehr-rag eval compare`: whether one result is better than another, and where."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Optional, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from drehr_rag.cli._show import console, passage, plain, print_json
from drehr_rag.cli.eval import _options as o
from drehr_rag.errors import BadArgument
from drehr_rag.eval._files import written
from drehr_rag.eval.comparing.changes import Change, changes, headline
from drehr_rag.eval.comparing.comparison import Comparison
from drehr_rag.eval.comparing.comparison_table import how, markdown, passage_row, record, table
from drehr_rag.eval.comparing.conclusion import conclusion
from drehr_rag.eval.comparing.differences import compare
from drehr_rag.eval.comparing.pairing import By, chosen, refuse_unlike
from drehr_rag.eval.results import Result


def command(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="The baseline's folder.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="What is compared with it.")],
    measure: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Only this measure; may be given several times."),
    ] = None,
    by: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Also by match (type), or by (query) type."),
    ] = None,
    markdown_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--markdown", help="Write all of it here, as Markdown."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random draws.")] = 0,
    flips: Annotated[int, typer.Option(help="How many draws.")] = 10_000,
    worst: Annotated[int, typer.Option(help="Show so many queries that changed most.")] = 5,
    with_text: o.WithText = False,
    passages: o.Passages = None,
) -> None:
    """Test whether two results differ, and show the queries that changed most.

    [bold]Example:[/bold] drehr-rag eval compare results/lexical results/hybrid --by match
    """
    a, b = Result.load(first), Result.load(second)
    read = o.texts_of(a, with_text, passages)
    refuse_unlike(a, b)
    parts = chosen(a, b, measures=measure or (), by=_by(by or []))
    comparison = compare(a, b, parts=parts, seed=seed, flips=flips)
    changed = changes(a, b, headline(comparison.differences), count=worst)
    wanted = {passed.chunk for one in changed for passed in one.passages}
    texts = read(wanted) if read else None
    if markdown_file:
        with written(markdown_file) as stream:
            stream.write(markdown(comparison, changed, texts) + "\n")
    if json:
        print_json(record(comparison, changed))
        return
    out = console()
    out.width = max(out.width, o.WIDTH)
    _show(comparison, out)
    if changed:
        _show_changes(comparison, changed, texts, out)


def _by(given: list[str]) -> list[By]:
    for name in given:
        if name not in ("match", "type"):
            raise BadArgument(f"--by is match or type, not {name!r}")
    return cast(list[By], given)


def _show(comparison: Comparison, out: Console) -> None:
    out.print(_table(*table(comparison)))
    out.print(Text(conclusion(comparison), "bold"))
    out.print(Text(how(comparison), "dim"))


def _show_changes(
    comparison: Comparison,
    changed: list[Change],
    texts: Mapping[str, str] | None,
    out: Console,
) -> None:
    part = headline(comparison.differences).part
    out.print()
    out.print(Text(f"The queries that changed most on {part}:", "bold"))
    for one in changed:
        kind = f"  {one.type}" if one.type else ""
        out.print(Text(f"{plain(one.text)}{kind}  {one.difference:+.3f}", "cyan"))
        columns = ["Chunk", comparison.a, comparison.b, "Judgment"]
        out.print(_table(columns, [passage_row(passed) for passed in one.passages]))
        for passed in one.passages if texts is not None else ():
            text = (texts or {}).get(passed.chunk, "")
            out.print(Text(f"{passed.chunk}: ", "dim") + passage(text, one.text))


def _table(columns: list[str], rows: list[list[str]]) -> Table:
    shown = Table()
    for name in columns:
        shown.add_column(Text(name), overflow="fold")
    for cells in rows:
        shown.add_row(*map(Text, cells))
    return shown
