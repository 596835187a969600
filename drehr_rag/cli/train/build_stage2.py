"""`drehr-rag train build-stage2`: examples from a language model, or from people's labels."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from drehr_rag.cli._options import Json
from drehr_rag.cli.train._guard import (
    THRESHOLD_DEFAULT,
    Against,
    Allow,
    HeldOutFile,
    Templates,
    Threshold,
    guard_of,
)
from drehr_rag.cli.train._progress import counting, show_manifest
from drehr_rag.errors import BadArgument
from drehr_rag.training.building import Progress, beside
from drehr_rag.training.chat import CONCURRENCY, MAX_TOKENS, TEMPERATURE, Chat
from drehr_rag.training.corpus import SHORTEST, Corpus
from drehr_rag.training.leakage import Guard
from drehr_rag.training.split import Split
from drehr_rag.training.stage2.annotated import AnnotatedCorpus
from drehr_rag.training.stage2.build import build_from_annotations, build_from_model


def command(
    output: Annotated[
        Path, typer.Option("--output", help="NAME.jsonl or NAME.jsonl.gz.", metavar="FILE")
    ],
    notes: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--notes", help="Files or folders of notes; may be repeated.", metavar="PATH"),
    ] = None,
    llm_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--llm-url", help="An OpenAI-compatible server, e.g. http://localhost:8000/v1."
        ),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--model", help="The model's name there, if it serves several."),
    ] = None,
    annotations: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--annotations",
            help="People's labels in place of a model: vaers:ZIP, mtsamples:FILE, ncbi:FILE, "
            "table:FILE (with --notes); may be repeated.",
            metavar="NAME:FILE",
        ),
    ] = None,
    kinds: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--type", help="diagnosis, procedure, prescription; by default all."),
    ] = None,
    form: Annotated[str, typer.Option(help="Replies as bullets, or by a JSON schema.")] = "bullets",
    temperature: Annotated[float, typer.Option(help="Of the model.", min=0)] = TEMPERATURE,
    max_tokens: Annotated[int, typer.Option(help="Of a reply.", min=1)] = MAX_TOKENS,
    concurrency: Annotated[int, typer.Option(help="Requests in flight.", min=1)] = CONCURRENCY,
    keep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--keep", help="A part of the notes.", metavar="COLUMN:PARTS/OF"),
    ] = None,
    shortest: Annotated[
        int, typer.Option(help="Words below which a note is dropped.", min=0)
    ] = SHORTEST,
    held_out: HeldOutFile = None,
    against: Against = None,
    threshold: Threshold = THRESHOLD_DEFAULT,
    templates: Templates = "drop",
    allow: Allow = False,
    json: Json = False,
) -> None:
    """Build examples of what chunks state or imply; a killed build goes on where it was.

    [bold]Example:[/bold] drehr-rag train build-stage2 --notes notes.jsonl --llm-url
    http://localhost:8000/v1 --output stage2.jsonl.gz --against devset:./vaers2004
    """
    if bool(annotations) == bool(llm_url):
        raise BadArgument(
            "name one of both: --llm-url (a model) or --annotations (people's labels)"
        )
    guard = guard_of(held_out, against, threshold, templates)
    with counting("stage 2", quiet=json) as progress:
        if annotations:
            labelled = AnnotatedCorpus(annotations, notes=notes or ())
            manifest = build_from_annotations(
                labelled, output, guard=guard, allow_leakage=allow, progress=progress
            )
        else:
            corpus = Corpus(
                notes or (),
                keep=Split.parse(keep) if keep else None,
                shortest=shortest,
                rejects=beside(output, ".rejects.jsonl"),
            )
            chat = Chat(
                llm_url or "",
                model=model,
                temperature=temperature,
                max_tokens=max_tokens,
                concurrency=concurrency,
            )
            asked: dict[str, Any] = {"form": form, "types": tuple(kinds or ())}
            manifest = asyncio.run(
                _ask(corpus, chat, output, asked, guard, allow, concurrency, progress)
            )
    show_manifest(manifest, output, json=json)


async def _ask(
    corpus: Corpus,
    chat: Chat,
    output: Path,
    asked: Mapping[str, Any],
    guard: Guard | None,
    allow: bool,
    concurrency: int,
    progress: Progress,
) -> dict[str, Any]:
    async with chat:
        return await build_from_model(
            corpus,
            chat,
            output,
            guard=guard,
            allow_leakage=allow,
            concurrency=concurrency,
            progress=progress,
            **asked,
        )
