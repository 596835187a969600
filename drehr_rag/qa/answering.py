"""Ask a generator, then keep only what the notes really say."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.resources import files
from typing import Any

from drehr_rag.errors import GeneratorError
from drehr_rag.protocols import GenerationRequest, Generator
from drehr_rag.qa.citing import cite
from drehr_rag.types import Answer, AnswerSentence, Hit

MOST = 400
"""Characters of a sentence and of a quote: without a bound a model may never close its reply."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "sentences": {
            "type": "array",
            "maxItems": 5,
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "maxLength": MOST},
                    "passage": {"type": "integer"},
                    "quote": {"type": "string", "maxLength": MOST},
                },
                "required": ["text", "passage", "quote"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["sentences"],
    "additionalProperties": False,
}

NOTHING_FOUND = "no note in scope was found for this question"
NOT_IN_NOTES = "the notes in scope do not support an answer"
UNSUPPORTED = "no sentence of the generated answer could be found in the notes"


def answer(question: str, hits: Sequence[Hit], generator: Generator) -> Answer:
    """Answer a question from retrieved passages.

    Each sentence must quote its passage; the quote is looked up and becomes note, section, start
    and end. A sentence whose quote is not there is removed; if none is left, it abstains.

    Raises:
        GeneratorError: The generator failed, or its reply is not JSON of the schema.
    """
    if not hits:
        return Answer(question, abstained=True, reason=NOTHING_FOUND)
    claims = _claims(generator.generate(_request(question, hits)))
    kept = []
    for claim in claims:
        citation = cite(claim["quote"], claim["passage"], hits)
        if citation and claim["text"].strip():
            kept.append(AnswerSentence(claim["text"].strip(), (citation,)))
    reason = None if kept else UNSUPPORTED if claims else NOT_IN_NOTES
    return Answer(
        question,
        sentences=tuple(kept),
        abstained=not kept,
        reason=reason,
        removed=len(claims) - len(kept),
        hits=tuple(hits),
    )


def _request(question: str, hits: Sequence[Hit]) -> GenerationRequest:
    template = files("drehr_rag.qa").joinpath("prompts/answer.md").read_text("utf-8")
    several = len({hit.chunk.patient_id for hit in hits}) > 1
    passages = "\n\n".join(
        f"[{n}] {_heading(hit, several=several)}\n{hit.chunk.source}" for n, hit in _counted(hits)
    )
    return GenerationRequest(
        prompt=template.format(passages=passages, question=question),
        question=question,
        passages=tuple(hit.chunk.source for hit in hits),
        schema=_schema(len(hits)),
    )


def _schema(passages: int) -> Mapping[str, Any]:
    """The schema with the passages' numbers: a bare integer may have digits without end."""
    schema = deepcopy(dict(SCHEMA))
    claim = schema["properties"]["sentences"]["items"]["properties"]
    claim["passage"] = {"type": "integer", "enum": list(range(1, passages + 1))}
    return schema


def _counted(hits: Sequence[Hit]) -> list[tuple[int, Hit]]:
    return list(enumerate(hits, 1))


def _heading(hit: Hit, *, several: bool) -> str:
    """Type, date, section; with several patients also whose note it is, lest they be mixed up."""
    chunk = hit.chunk
    whose = f"patient {chunk.patient_id}" if several else None
    written = chunk.written_at.date().isoformat() if chunk.written_at else None
    return ", ".join(part for part in (whose, chunk.note_type, written, chunk.section) if part)


def _claims(reply: str) -> list[dict[str, Any]]:
    try:
        claims = json.loads(reply)["sentences"]
        for claim in claims:
            well = isinstance(claim["text"], str) and isinstance(claim["quote"], str)
            if not (well and isinstance(claim["passage"], int)):
                raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise GeneratorError("the generator's reply does not fit the schema it was given") from None
    return list(claims)
