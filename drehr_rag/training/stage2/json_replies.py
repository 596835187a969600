"""JSON in place of bullets: a schema that the server keeps to, and its reply to entities."""

import json
from collections.abc import Mapping
from typing import Any

from drehr_rag.training.stage2.entities import Parsed, sifted

ITEMS = 16
"""Entities of a reply at most: as many as stage 2 takes of a chunk for training (PAPER.md §1)."""

CHARACTERS = 80
"""Of an entity. With `ITEMS` a bound on the whole reply, some 450 tokens: without bounds a model
may never close it."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "entities": {
            "type": "array",
            "maxItems": ITEMS,
            "items": {"type": "string", "maxLength": CHARACTERS},
        }
    },
    "required": ["entities"],
    "additionalProperties": False,
}

CUT = "cut within its JSON"
UNFIT = "JSON of another form"
BROKEN = "not JSON"


def parse_json(reply: str, *, cut: bool = False) -> Parsed:
    """The entities of a reply that was asked for with `SCHEMA`.

    Args:
        reply: As it came.
        cut: Whether it ended for its length.
    """
    try:
        content = json.loads(reply, strict=False)  # servers let control characters through
    except (ValueError, RecursionError):
        return Parsed(failure=CUT if cut else BROKEN)
    items = content.get("entities") if isinstance(content, dict) and len(content) == 1 else None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return Parsed(failure=UNFIT)
    return sifted(_storable(item) for item in items)


def _storable(text: str) -> str:
    """Without half of a surrogate pair, which a random model writes and no file can hold."""
    return text.encode(errors="ignore").decode()
