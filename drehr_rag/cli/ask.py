"""`drehr-rag ask`: an answer from the notes, with citations."""

import json as json_text
from typing import Annotated, Any

import typer

from drehr_rag.cli import _options as o
from drehr_rag.cli._answering import Audit, opened_chain
from drehr_rag.cli._show import (
    answer_record,
    console,
    print_json,
    sentence_record,
    show_answer,
    show_grounds,
    show_sentence,
)
from drehr_rag.qa import QaChain
from drehr_rag.types import AnswerSentence, Citation


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
    audit: Audit = None,
    stream: Annotated[
        bool, typer.Option(help="Each sentence as soon as it is verified (JSON: a line each).")
    ] = False,
    json: o.Json = False,
) -> None:
    """Answer a question; every sentence is cited, or there is no answer.

    Without --generator-url the notes' own best sentences are quoted.

    [bold]Example:[/bold] drehr-rag ask "Why was metformin stopped?" --store ./ehr.idx --patient p1
    """
    scope = o.scope_of(patient, encounter, cohort, all_patients, reason)
    narrow: dict[str, Any] = {
        "scope": scope,
        "note_type": note_type,
        "section": section,
        "since": since,
        "until": until,
    }
    with opened_chain(
        store,
        scope,
        generator_url=generator_url,
        model=model,
        encoder=encoder,
        access=access,
        audit=audit,
    ) as (chain, _):
        if stream:
            _listen(chain, question, narrow, json=json)
        elif json:
            print_json(answer_record(chain.ask(question, **narrow)))
        else:
            show_answer(chain.ask(question, **narrow), console())


def _listen(chain: QaChain, question: str, narrow: dict[str, Any], *, json: bool) -> None:
    """Show the sentences as they come, then the whole."""
    numbers: dict[Citation, int] = {}
    out = console()
    for part in chain.stream(question, **narrow):
        if isinstance(part, AnswerSentence):
            _line(sentence_record(part)) if json else show_sentence(part, numbers, out)
        else:
            _line(answer_record(part)) if json else show_grounds(part, numbers, out)


def _line(record: dict[str, Any]) -> None:
    print(json_text.dumps(record, ensure_ascii=False, default=str), flush=True)
