"""`drehr-rag train build-stage2`: examples from a language model, or from people's labels."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from drehr_rag.cli import _options as o
from drehr_rag.cli.train import _corpus as c
from drehr_rag.cli.train import _guard as g
from drehr_rag.errors import BadArgument
from drehr_rag.training.chat import CONCURRENCY, MAX_TOKENS, TEMPERATURE, Chat
from drehr_rag.training.corpus import SHORTEST
from drehr_rag.training.stage2.annotated import AnnotatedCorpus
from drehr_rag.training.stage2.build import build_from_annotations, build_from_model

FORM = "bullets"
"""Of replies, as the paper asks for them."""


def command(
    output: c.Output,
    notes: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--notes", help="File or folder of notes; may be repeated."),
    ] = None,
    llm_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="An OpenAI-compatible server, e.g. http://localhost:8000/v1."),
    ] = None,
    model: o.ModelName = None,
    annotations: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="People's labels in place of a model: vaers:ZIP, mtsamples:FILE, ncbi:FILE, "
            "table:FILE (with --notes); may be repeated.",
            metavar="NAME:FILE",
        ),
    ] = None,
    types: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--type", help="diagnosis, procedure, prescription; by default all."),
    ] = None,
    form: Annotated[str, typer.Option(help="Of replies: bullets, or json (by a schema).")] = FORM,
    temperature: Annotated[float, typer.Option(help="Of the model.", min=0)] = TEMPERATURE,
    max_tokens: Annotated[int, typer.Option(help="Of a reply.", min=1)] = MAX_TOKENS,
    concurrency: Annotated[int, typer.Option(help="Requests in flight.", min=1)] = CONCURRENCY,
    format: o.Format = None,
    column: o.Column = None,
    constant: o.Constant = None,
    keep: c.Keep = None,
    note_type: c.NoteType = None,
    cleaning: c.Cleaning = "dr_ehr",
    shortest: c.Shortest = SHORTEST,
    held_out: g.HeldOutFile = None,
    against: g.Against = None,
    threshold: g.Threshold = g.DEFAULT,
    templates: g.Templates = "drop",
    allow: g.Allow = False,
    json: o.Json = False,
) -> None:
    """Build stage 2's examples. Run it again after an interruption: it goes on from there.

    The output holds note text.

    [bold]Example:[/bold] drehr-rag train build-stage2 --notes notes.jsonl --llm-url
    http://localhost:8000/v1 --output stage2.jsonl.gz --against devset:./vaers2004
    """
    if bool(annotations) == bool(llm_url):
        raise BadArgument("name one: --llm-url (a model) or --annotations (people's labels)")
    guard = g.guard_of(held_out, against, threshold, templates)
    with c.bar(quiet=json) as progress:
        if annotations:
            _refuse(
                ("--format", format, None),
                ("--column", column, None),
                ("--set", constant, None),
                ("--keep", keep, None),
                ("--note-type", note_type, None),
                ("--shortest", shortest, SHORTEST),
                ("--model", model, None),
                ("--type", types, None),
                ("--form", form, FORM),
                ("--temperature", temperature, TEMPERATURE),
                ("--max-tokens", max_tokens, MAX_TOKENS),
                ("--concurrency", concurrency, CONCURRENCY),
            )
            manifest = build_from_annotations(
                AnnotatedCorpus(annotations, notes=notes or (), cleaning=cleaning),  # type: ignore[arg-type]
                output,
                guard=guard,
                allow_leakage=allow,
                progress=progress,
            )
        else:
            corpus = c.corpus_of(
                notes or [],
                output,
                format=format,
                column=column,
                constant=constant,
                keep=keep,
                note_type=note_type,
                cleaning=cleaning,
                shortest=shortest,
            )
            chat = Chat(
                llm_url or "",
                model=model,
                temperature=temperature,
                max_tokens=max_tokens,
                concurrency=concurrency,
            )
            build = partial(
                build_from_model,
                corpus,
                chat,
                output,
                form=form,
                types=tuple(types or ()),
                guard=guard,
                allow_leakage=allow,
                concurrency=concurrency,
                progress=progress,
            )
            manifest = asyncio.run(_opened(chat, build))
    c.show(manifest, output, json=json)


def _refuse(*options: tuple[str, object, object]) -> None:
    """Options (name, value, default) that would change nothing."""
    for name, value, default in options:
        if value not in (default, []):
            hint = "; annotations: NAME:FILE?keep=…" if name == "--keep" else ""
            raise BadArgument(f"{name} goes with --llm-url{hint}")


async def _opened(chat: Chat, build: Any) -> dict[str, Any]:
    async with chat:
        manifest: dict[str, Any] = await build()
        return manifest
