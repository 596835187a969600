"""`drehr-rag kg`: build, inspect and query knowledge graphs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from drehr_rag.cli._options import Json
from drehr_rag.cli._show import console, plain, print_json
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg import NearestTerms, StoredGraph, build_graph
from drehr_rag.kg.authors_files import export_authors
from drehr_rag.kg.packaged import GRAPH, NAME

app = typer.Typer(
    help="Knowledge graphs: terms, concepts, what is broader and narrower.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Place = Annotated[Path, typer.Argument(help="Folder of a graph.", metavar="GRAPH")]
COUNTS = ("concepts", "terms", "is_a", "related", "joined_ids")
ODDITIES = ("concepts_without_terms", "self_loops", "concepts_in_cycles")


@app.command()
def build(
    graph: Annotated[Path, typer.Argument(help="Folder to make or replace.", metavar="GRAPH")],
    sources: Annotated[
        list[str],
        typer.Argument(
            help="[LOADER:]PATH[?OPTION=VALUE&…], the most authoritative first; "
            "the loader is recognised if it can be.",
            metavar="SOURCE…",
        ),
    ],
    json: Json = False,
) -> None:
    """Build a graph from terminologies; mappings (SSSOM) among them join the others.

    [bold]Example:[/bold] drehr-rag kg build ./kg doid.obo 'drugs.csv?id=code&term=name'
    """
    errors = Console(stderr=True)
    quiet = json or not errors.is_terminal
    with Progress(console=errors, transient=True, disable=quiet) as bar:
        tasks: dict[str, Any] = {}

        def progress(source: str, count: int) -> None:
            if source not in tasks:
                tasks[source] = bar.add_task(Path(source).name, total=None)
            bar.update(tasks[source], completed=count)

        made = build_graph(graph, sources, progress=progress)
    _tell(made.manifest, json)


@app.command()
def info(
    graph: Place,
    check: Annotated[bool, typer.Option("--check", help="Read every file's checksum.")] = False,
    json: Json = False,
) -> None:
    """What a graph was built from, under which licences, and what it holds.

    [bold]Example:[/bold] drehr-rag kg info ./kg --check
    """
    opened = StoredGraph(graph)
    if check and (broken := opened.damaged_files()):
        raise GraphError(f"{graph} is damaged ({', '.join(broken)}): build the graph again")
    _tell(opened.manifest, json)


@app.command()
def lookup(
    graph: Place,
    term: Annotated[str, typer.Argument(help="A name, or a concept's id.", metavar="TERM")],
    depth: Annotated[int, typer.Option(help="Steps up and down.", min=1)] = 1,
    limit: Annotated[int, typer.Option(help="Of each list, how many to show.", min=1)] = 8,
    json: Json = False,
) -> None:
    """The concepts that bear a name, and what is known of them.

    [bold]Example:[/bold] drehr-rag kg lookup ./kg "heart attack"
    """
    opened = StoredGraph(graph)
    found = opened.concepts(term)
    if not found and term in opened:
        found = [opened.concept_id(term)]
    if not found:
        raise BadArgument(f"{graph} has no term and no concept {term!r}")
    facts = [_facts(opened, concept, depth) for concept in found]
    if json:
        print_json(facts)
        return
    for concept in facts:
        _show(opened, concept, limit)


@app.command()
def export(
    graph: Place,
    folder: Annotated[Path, typer.Argument(help="Where to write.", metavar="FOLDER")],
    json: Json = False,
) -> None:
    """Write the files that DR.EHR's released code reads (bios.txt, CUI2term.json, …).

    [bold]Example:[/bold] drehr-rag kg export ./kg ./bios-files
    """
    names = export_authors(StoredGraph(graph), folder)
    if json:
        print_json({"folder": str(folder), "files": names})
    else:
        console().print(f"{', '.join(names)} are in {folder}")


@app.command()
def nearest(
    graph: Annotated[str, typer.Argument(help="Folder of a graph, or packaged.", metavar="GRAPH")],
    out: Annotated[Path, typer.Option(help="Folder to make, or to go on with.", metavar="FOLDER")],
    encoder: Annotated[
        str, typer.Option(help="offline, coder:FOLDER, cortex:FOLDER, or any other.")
    ] = "offline",
    json: Json = False,
) -> None:
    """Encode a graph's names, so that search --nearest links what is called otherwise.

    [bold]Example:[/bold] drehr-rag kg nearest packaged --encoder coder:./coder --out ./names
    """
    opened, errors = StoredGraph(GRAPH if graph == NAME else graph), Console(stderr=True)
    with Progress(console=errors, transient=True, disable=json or not errors.is_terminal) as bar:
        task = bar.add_task("names", total=None)
        names = NearestTerms.build(
            opened,
            load_encoder(encoder),
            out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        print_json({"folder": str(out), "names": len(names), "encoder": names.encoder.name})
    else:
        console().print(f"{len(names):,} names by {names.encoder.name} are in {out}", markup=False)


def _facts(graph: StoredGraph, concept: str, depth: int) -> dict[str, Any]:
    return {
        "concept": concept,
        "identifiers": graph.identifiers(concept),
        "preferred_term": graph.preferred_term(concept),
        "synonyms": graph.synonyms(concept)[1:],
        "semantic_types": graph.semantic_types(concept),
        "hypernyms": graph.hypernyms(concept, depth=depth),
        "hyponyms": graph.hyponyms(concept, depth=depth),
        "related": [list(pair) for pair in graph.related(concept)],
    }


def _show(graph: StoredGraph, facts: Mapping[str, Any], limit: int) -> None:
    def name(concept: str) -> str:
        return f"{graph.preferred_term(concept) or '(no name)'} ({concept})"

    out = console()
    out.print(plain(f"{facts['concept']}  {facts['preferred_term'] or '(no name)'}"), style="bold")
    lines = {
        "also": facts["identifiers"][1:],
        "types": facts["semantic_types"],
        "synonyms": facts["synonyms"],
        "broader": list(map(name, facts["hypernyms"][: limit + 1])),
        "narrower": list(map(name, facts["hyponyms"][: limit + 1])),
        "related": [f"{kind}: {name(target)}" for kind, target in facts["related"][: limit + 1]],
    }
    for label, values in lines.items():
        if values:
            more = " …" if len(values) > limit else ""
            words = plain(f"{label}: {'; '.join(values[:limit])}{more}")
            out.print(f"  {words}", markup=False)


def _tell(facts: Mapping[str, Any], json: bool) -> None:
    if json:
        print_json({key: value for key, value in facts.items() if key != "files"})
        return
    out = console()
    total = sum(file["bytes"] for file in facts["files"].values())
    counts = ", ".join(f"{facts[name]:,} {name.replace('_', ' ')}" for name in COUNTS)
    out.print(f"{counts}; {total / 2**20:.1f} MB")
    odd = [f"{facts[name]:,} {name.replace('_', ' ')}" for name in ODDITIES if facts[name]]
    odd += [f"{count:,} terms left out: {why}" for why, count in facts["left_out"].items()]
    out.print("\n".join(f"  note: {line}" for line in odd), end="\n" if odd else "")
    for source in facts["sources"]:
        unread = f", {source['unread']:,} not read" if source["unread"] else ""
        told = f"{source['path']} ({source['loader']}; {source['licence']})"
        words = plain(f"{told}: {source['records']:,} records{unread}")
        out.print(f"  {words}", markup=False)
