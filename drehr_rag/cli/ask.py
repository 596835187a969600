"""`drehr-rag ask`: an answer from the notes, with citations."""

from typing import Annotated

import typer

from drehr_rag.cli import _options as o
from drehr_rag.cli._show import answer_record, console, print_json, show_answer
from drehr_rag.errors import BadArgument
from drehr_rag.generators import load_generator
from drehr_rag.index import EhrIndex


def command(
    question: Annotated[str, typer.Argument(help="In plain words.")],
    store: o.Store,
    patient: o.PatientId = None,
    encounter: o.EncounterId = None,
    cohort: o.CohortFile = None,
    all_patients: o.Everybody = False,
    reason: o.Reason = None,
    generator_url: o.GeneratorUrl = None,
    model: o.ModelName = None,
    note_type: o.NoteTypes = None,
    section: o.Sections = None,
    since: o.Since = None,
    until: o.Until = None,
    encoder: o.EncoderName = None,
    access: o.AccessOptions = None,
    json: o.Json = False,
) -> None:
    """Answer a question; every sentence is cited, or there is no answer.

    Without --generator-url the notes' own best sentences are quoted.

    [bold]Example:[/bold] drehr-rag ask "Why was metformin stopped?" --store ./ehr.idx --patient p1
    """
    scope = o.scope_of(patient, encounter, cohort, all_patients, reason)
    if model is not None and not generator_url:
        raise BadArgument("--model goes with --generator-url")
    if generator_url is not None and not generator_url.strip():
        raise BadArgument("--generator-url is empty: leave it out to quote the notes")
    generator = load_generator("openai", url=generator_url, model=model) if generator_url else None
    with EhrIndex.open(store, encoder=encoder, access=o.access_of(access), create=False) as index:
        o.warn_unknown(index, scope)
        answer = index.ask(
            question,
            scope=scope,
            generator=generator,
            note_type=note_type,
            section=section,
            since=since,
            until=until,
        )
    if json:
        print_json(answer_record(answer))
    else:
        show_answer(answer, console())
