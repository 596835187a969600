"""`drehr-rag store`: copy, compact, back up and switch stores."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.progress import Progress

from drehr_rag.cli._options import AccessOptions, Json, LayoutOptions, access_of, layout_of
from drehr_rag.cli._show import console, print_json
from drehr_rag.errors import BadArgument
from drehr_rag.stores import kind_of, open_store, plugin
from drehr_rag.stores._copy import copy_store

app = typer.Typer(
    help="Copy, compact, back up and switch stores.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Place = Annotated[
    str, typer.Argument(help="Folder, or http://host:6333/collection.", metavar="STORE")
]


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="Store to copy.", metavar="SRC")],
    target: Annotated[str, typer.Argument(help="Store to make, or to complete.", metavar="DST")],
    layout: LayoutOptions = None,
    source_access: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="As --access, for SRC.", metavar="OPTION=VALUE"),
    ] = None,
    access: AccessOptions = None,
    json: Json = False,
) -> None:
    """Copy a store into another of any kind, and check every chunk of the copy.

    [bold]Example:[/bold] drehr-rag store copy ./ehr.idx http://localhost:6333/ehr
    """
    with Progress(console=Console(stderr=True), transient=True, disable=json) as bar:
        tasks = {name: bar.add_task(name, total=None) for name in ("copying", "checking")}
        report = copy_store(
            source,
            target,
            layout=layout_of(layout),
            source_access=access_of(source_access),
            target_access=access_of(access),
            progress=lambda name, done, total: bar.update(tasks[name], completed=done, total=total),
        )
    if json:
        print_json(asdict(report))
    else:
        console().print(
            f"{report.chunks} chunks copied and read back in {report.seconds:.1f} s\n"
            f"payload checksum {report.checksum[:16]}… on both sides; "
            f"largest difference in a vector {report.difference:.1e}"
        )


@app.command()
def compact(store: Place, json: Json = False) -> None:
    """Write a folder's files anew, so that what was deleted or replaced leaves them too.

    [bold]Example:[/bold] drehr-rag store compact ./ehr.idx
    """
    with open_store(store) as opened:
        before = _size(Path(store))
        opened.compact()
        opened.optimise()
    after = _size(Path(store))
    if json:
        print_json({"bytes_before": before, "bytes_after": after})
    else:
        console().print(f"{before / 2**20:.1f} MB before, {after / 2**20:.1f} MB now")


@app.command()
def snapshot(store: Place, file: Path, access: AccessOptions = None, json: Json = False) -> None:
    """Write a whole store into one file.

    [bold]Example:[/bold] drehr-rag store snapshot ./ehr.idx ehr-2026-11-21.snapshot
    """
    with open_store(store, access=access_of(access)) as opened:
        opened.snapshot(file)
    _tell({"file": str(file), "bytes": file.stat().st_size}, f"{store} is in {file}", json)


@app.command()
def restore(file: Path, store: Place, access: AccessOptions = None, json: Json = False) -> None:
    """Make a new store from a snapshot of one of the same kind.

    [bold]Example:[/bold] drehr-rag store restore ehr-2026-11-21.snapshot ./ehr.idx
    """
    if not file.is_file():
        raise BadArgument(f"there is no file {file}")
    plugin(store).restore(file, store, access=access_of(access))
    _tell({"store": store}, f"{store} is made from {file}", json)


@app.command()
def switch(
    alias: Annotated[str, typer.Argument(help="http://host:6333/ALIAS", metavar="ALIAS")],
    to: Annotated[str, typer.Option(help="Collection it shall stand for.", metavar="COLLECTION")],
    access: AccessOptions = None,
    json: Json = False,
) -> None:
    """Let an alias on a server stand for another collection: searches go on meanwhile.

    Index into a new collection, then switch the alias that the applications use.

    [bold]Example:[/bold] drehr-rag store switch http://localhost:6333/ehr --to ehr-v2
    """
    if kind_of(alias) != "server":
        raise BadArgument("only a server has aliases: http://host:6333/ALIAS")
    before = plugin(alias).switch(alias, to, access=access_of(access))
    was = f" (before: {before})" if before else ""
    _tell({"alias": alias, "collection": to, "before": before}, f"{alias} is now {to}{was}", json)


def _tell(facts: dict[str, object], words: str, json: bool) -> None:
    if json:
        print_json(facts)
    else:
        console().print(words)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
