"""`drehr-rag chat`: questions that follow one another, about one patient."""

import sys

from drehr_rag.cli import _options as o
from drehr_rag.cli._answering import Audit, opened_chain
from drehr_rag.cli._show import console, plain, show_answer
from drehr_rag.errors import DrehrError
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
    audit: Audit = None,
) -> None:
    """Ask one question after the other; with a model, "and since when?" is understood.

    Ends at the end of the input, or with exit.

    [bold]Example:[/bold] drehr-rag chat --store ./ehr.idx --patient p1
    --generator-url http://localhost:8000/v1
    """
    scope = o.scope_of(patient, encounter, None, False, None)
    with opened_chain(
        store,
        scope,
        generator_url=generator_url,
        model=model,
        encoder=encoder,
        access=access,
        audit=audit,
    ) as (chain, generator):
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
