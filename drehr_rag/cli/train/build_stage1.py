"""`drehr-rag train build-stage1`: notes and a knowledge graph to stage 1's examples."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from drehr_rag.cli import _options as o
from drehr_rag.cli.train import _corpus as c
from drehr_rag.cli.train import _guard as g
from drehr_rag.errors import BadArgument
from drehr_rag.kg import StoredGraph
from drehr_rag.training.chat import Chat
from drehr_rag.training.corpus import SHORTEST
from drehr_rag.training.stage1.breadth import BROADEST
from drehr_rag.training.stage1.build import MAX_TOKENS, SHARE, build_stage1
from drehr_rag.training.stage1.leave_out import LeaveOut
from drehr_rag.training.stage1.ratios import Ratios, concepts_and_terms


def command(
    notes: c.Notes,
    graph: Annotated[
        Path, typer.Option("--kg", help="Folder of a graph (drehr-rag kg build).", metavar="GRAPH")
    ],
    output: c.Output,
    format: o.Format = None,
    column: o.Column = None,
    constant: o.Constant = None,
    keep: c.Keep = None,
    note_type: c.NoteType = None,
    cleaning: c.Cleaning = "dr_ehr",
    shortest: c.Shortest = SHORTEST,
    terms: Annotated[
        bool, typer.Option("--terms/--no-terms", help="Look for the graph's terms.")
    ] = True,
    boundaries: Annotated[
        str, typer.Option(help="Of terms: words, or released (as DR.EHR's code).")
    ] = "words",
    synonyms: Annotated[int, typer.Option(help="Other names of a mention.", min=0)] = 2,
    hypernyms: Annotated[
        str, typer.Option(help="Broader concepts and names of each; 0: none.", metavar="NxM")
    ] = "2x2",
    hypernym_depth: Annotated[
        int, typer.Option(help="Steps up to a broader concept at most.", min=1)
    ] = 1,
    related: Annotated[
        str, typer.Option(help="Related concepts and names of each; 0: none.", metavar="NxM")
    ] = "2x2",
    broadest: Annotated[
        int, typer.Option(help="Add no concept with more than so many below it; 0: any.", min=0)
    ] = BROADEST,
    abbreviations: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="An inventory, the most trusted first; may be repeated."),
    ] = None,
    share: Annotated[
        float, typer.Option(help="Of an inventory's foremost sense, to be taken.", min=0, max=1)
    ] = SHARE,
    own_definitions: Annotated[
        bool,
        typer.Option(
            "--own-definitions/--no-own-definitions",
            help='Take what a chunk defines: "atrial fibrillation (AF)".',
        ),
    ] = True,
    llm_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="An OpenAI-compatible server that is asked for abbreviations."),
    ] = None,
    model: o.ModelName = None,
    denied: Annotated[
        str, typer.Option(help="Entities that a chunk only denies: keep, negatives or drop.")
    ] = "keep",
    leave_out: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="More that makes bad entities, a line each; may be repeated."),
    ] = None,
    default_leave_out: Annotated[
        bool,
        typer.Option(
            "--default-leave-out/--no-default-leave-out",
            help="Leave out what the package's own list names.",
        ),
    ] = True,
    held_out: g.HeldOutFile = None,
    against: g.Against = None,
    threshold: g.Threshold = g.DEFAULT,
    templates: g.Templates = "drop",
    allow: g.Allow = False,
    workers: Annotated[int, typer.Option(help="Processes; not with --llm-url.", min=1)] = 1,
    seed: c.Seed = 0,
    json: o.Json = False,
) -> None:
    """Build stage 1's examples. Run it again after an interruption: it goes on from there.

    The output holds note text.

    [bold]Example:[/bold] drehr-rag train build-stage1 --notes notes.jsonl.gz --kg ./kg
    --output stage1.jsonl.gz
    """
    if model and not llm_url:
        raise BadArgument("--model goes with --llm-url")
    corpus = c.corpus_of(
        notes,
        output,
        format=format,
        column=column,
        constant=constant,
        keep=keep,
        note_type=note_type,
        cleaning=cleaning,
        shortest=shortest,
    )
    up, beside = (
        concepts_and_terms(hypernyms, "--hypernyms"),
        concepts_and_terms(related, "--related"),
    )
    with c.bar(quiet=json) as progress:
        manifest = build_stage1(
            corpus,
            StoredGraph(graph),
            output,
            ratios=Ratios(synonyms, *up, *beside),
            broadest=broadest,
            hypernym_depth=hypernym_depth,
            terms=terms,
            boundaries=boundaries,  # type: ignore[arg-type]  # the matcher refuses any other
            leave_out=LeaveOut.read(*(leave_out or ()), default=default_leave_out),
            inventories=abbreviations or (),
            own_definitions=own_definitions,
            share=share,
            chat=Chat(llm_url, model=model, max_tokens=MAX_TOKENS) if llm_url else None,
            denied=denied,  # type: ignore[arg-type]  # build_stage1 refuses any other
            seed=seed,
            guard=g.guard_of(held_out, against, threshold, templates),
            allow_leakage=allow,
            workers=workers,
            progress=progress,
        )
    c.show(manifest, output, json=json)
