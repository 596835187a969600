"""Passages and a question to what a generator is asked."""

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa.instructions import instructions
from drehr_rag.qa.passages import Passage
from drehr_rag.types import Chunk

MOST = 400
"""Characters of a sentence and of a quote: without a bound a model may never close its reply."""

SENTENCES = 5
"""In an answer."""

HEADINGS = 1024
"""Parts of headings, such as a date or a type of note, that are remembered to order nothing."""

_TAG = re.compile(r"<(?=[/!|?a-zA-Z<])")
_TURN = re.compile(r"\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|IMG)\])")


def schema(passages: int) -> Mapping[str, Any]:
    """What a reply must fit.

    Args:
        passages: How many there are: a bare integer may have digits without end.
    """
    numbers = {"type": "integer", "enum": list(range(1, passages + 1))}
    sentence = {
        "text": {"type": "string", "maxLength": MOST},
        "passages": {"type": "array", "minItems": 1, "maxItems": 3, "items": numbers},
        "quote": {"type": "string", "maxLength": MOST},
    }
    sentences = {"type": "array", "maxItems": SENTENCES, "items": _closed(sentence)}
    return _closed({"not_in_notes": {"type": "boolean"}, "sentences": sentences})


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def request(question: str, passages: Sequence[Passage]) -> GenerationRequest:
    """The prompt, its parts, and the schema of the reply."""
    several = len({passage.chunk.patient_id for passage in passages}) > 1
    shown = [
        f'<passage number="{number}" about="{_heading(passage.chunk, several=several)}">\n'
        f"{escaped(passage.shown)}\n</passage>{_marks(number, passage)}"
        for number, passage in enumerate(passages, 1)
    ]
    return GenerationRequest(
        prompt=_template().format(passages="\n\n".join(shown), question=escaped(question)),
        question=question,
        passages=tuple(passage.shown for passage in passages),
        schema=schema(len(passages)),
    )


def _marks(number: int, passage: Passage) -> str:
    """Behind the passage: no note can write this tag, and no quote is looked for in it."""
    if not passage.marks:
        return ""
    return f'\n<marks passage="{number}">{escaped(passage.marks)}</marks>'


def escaped(text: str) -> str:
    """Text that closes no passage and begins no turn; a quote of it is found all the same."""
    return _TURN.sub("［", _TAG.sub("‹", text))


def _heading(chunk: Chunk, *, several: bool) -> str:
    """Type, date, section; with several patients also whose note it is, lest they be mixed up."""
    whose = f"patient {chunk.patient_id}" if several else None
    written = chunk.written_at.date().isoformat() if chunk.written_at else None
    parts = (whose, chunk.note_type, written, chunk.section)
    known = [part for part in parts if part and _harmless(part)]
    return escaped(", ".join(known)).replace('"', "'").replace("\n", " ")


@lru_cache(HEADINGS)
def _harmless(part: str) -> bool:
    return not instructions(part)


@cache
def _template() -> str:
    return files("drehr_rag.qa").joinpath("prompts/answer.md").read_text("utf-8")
