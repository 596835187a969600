"""`drehr-rag chat`: questions that follow one another, about one patient."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from drehr_rag.cli import _options as o
from drehr_rag.cli._show import console, plain, show_answer
from drehr_rag.errors import BadArgument, DrehrError
from drehr_rag.generators import load_generator
from drehr_rag.index import EhrIndex
from drehr_rag.qa import AuditLog
from drehr_rag.qa.conversation import Conversation

END = {"exit", "quit", ":q"}


def command(
    store: o.Store,
    patient: o.PatientId = None,
    encounter: o.EncounterId = None,
    generator_url: o.GeneratorUrl = None,
    model: o.ModelName = None,
    encoder: o.EncoderName = None,
    access: o.AccessOptions = None,
    audit: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Add a record of each question to this file."),
    ] = None,
) -> None:
    """Ask one question after the other; with a model, "and since when?" is understood.

    Ends at the end of the input, or with exit.

    [bold]Example:[/bold] drehr-rag chat --store ./ehr.idx --patient p1
    --generator-url http://localhost:8000/v1
    """
    scope = o.scope_of(patient, encounter, None, False, None)
    if model is not None and not generator_url:
        raise BadArgument("--model goes with --generator-url")
    if generator_url is not None and not generator_url.strip():
        raise BadArgument("--generator-url is empty: leave it out to quote the notes")
    with ExitStack() as stack:
        generator: Any = None
        if generator_url:
            generator = load_generator("openai", url=generator_url, model=model)
            stack.callback(generator.close)
        opened = EhrIndex.open(store, encoder=encoder, access=o.access_of(access), create=False)
        index = stack.enter_context(opened)
        o.warn_unknown(index, scope)
        chain = index.qa_chain(generator, audit=AuditLog(audit) if audit else None)
        _talk(Conversation(chain, scope=scope, generator=generator))


def _talk(conversation: Conversation) -> None:
    out = console()
    while (line := _asked()) is not None:
        if not line.strip():
            continue
        try:
            answer = conversation.ask(line)
        except DrehrError as problem:  # the next question may do better
            out.print(f"{problem}", style="red", markup=False)
            continue
        if answer.question != line:
            out.print(f"({plain(answer.question)})", style="dim", markup=False)
        show_answer(answer, out)


def _asked() -> str | None:
    """The next question; None at the end."""
    try:
        line = input("? " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    return None if line.strip().lower() in END else line
