"""JSON of a generator's reply, alone or in a code fence."""

import json
import re
from typing import Any

_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


def json_of(reply: str) -> Any:
    """The reply as JSON; None where it is none."""
    fenced = _FENCED.search(reply)
    for text in (reply, *([fenced[1]] if fenced else ())):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue
    return None


def words_of(value: Any, longest: int) -> str | None:
    """The value, if it is a text with words that a search takes."""
    if not isinstance(value, str):
        return None
    text = value.encode(errors="ignore").decode().strip()
    return text if len(text) <= longest and any(map(str.isalnum, text)) else None
