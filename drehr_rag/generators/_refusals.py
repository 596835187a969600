"""A status that is not 200, to the error that says what to do; the server's words are not told.

They may repeat the notes that were sent.
"""

import json
import re
from typing import Any

import httpx

from drehr_rag.errors import (
    ContextOverflow,
    GeneratorError,
    GeneratorUnavailable,
    KeyRefused,
    NoSuchModel,
)

_AGAIN = {408, 425, 429}
"""What passes, besides every 5xx."""

_TOO_LONG = re.compile(
    r"maximum context length|maximum model length|model's context length|context_length_exceeded"
    r"|available context size|max_tokens must be at least 1, got -"
)
"""As vLLM has said it from 0.4 to 0.15; the others are OpenAI's, SGLang's and llama.cpp's words."""


def refusal(answer: httpx.Response, said: bytes, who: str, model: str | None) -> GeneratorError:
    """What the answer means.

    Args:
        answer: Its status is not 200.
        said: The beginning of its body.
        who: Which server, with its address.
        model: Which model was asked, if one was.
    """
    status = answer.status_code
    what = f"answered {status}"
    if status in _AGAIN or status >= 500:
        wait = _seconds(answer.headers.get("Retry-After", ""))
        return GeneratorUnavailable(f"{who} {what}", what, wait)
    if status in (401, 403):
        right = "the right key" if status == 401 else "a key that may use this model"
        return KeyRefused(f"{who} {what}: put {right} into OPENAI_API_KEY", what)
    if status == 404:
        return NoSuchModel(f"{who} {what}: it has no such {_wanted(model)}", what)
    if status in (400, 413) and _TOO_LONG.search(_message(said)):
        too_long = "prompt and reply are longer than the model reads"
        return ContextOverflow(
            f"{who} {what}: {too_long}: ask with fewer passages, or lower max_tokens", what
        )
    return GeneratorError(f"{who} {what}", what)


def _wanted(model: str | None) -> str:
    return f"model as {model!r}, or no such path" if model else "path: is the address right?"


def _message(said: bytes) -> str:
    """The error's own words, of OpenAI's form or of vLLM's older one."""
    try:
        body: Any = json.loads(said)
        body = body.get("error", body)
        return f"{body.get('message')} {body.get('code')}"
    except (ValueError, RecursionError, AttributeError):
        return ""


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
