"""Metadata that comes back as it was given, or is refused."""

import json
from collections.abc import Mapping
from typing import Any

from drehr_rag.errors import BadArgument

HALF = "holds half of a surrogate pair, which cannot be stored"


def storable(text: str) -> bool:
    """Whether it is text all through; half of a surrogate pair is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_json(metadata: Mapping[Any, Any]) -> str:
    """JSON text from which equal metadata can be read.

    Raises:
        BadArgument: There is none: a key is no text, or a value would come back as another.
    """
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise BadArgument(f"metadata has a key that is {type(key).__name__}, not text")
        if not _survives(key) or not _survives(value):
            raise BadArgument(
                f"metadata[{key!r}] ({type(value).__name__}) is or holds what JSON cannot hold as "
                "it is: make it text, a finite number, or a list or dict (with text for keys)"
            )
    return json.dumps(metadata, ensure_ascii=False)


def _survives(value: object) -> bool:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return storable(text) and _same(json.loads(text), value)
    except (TypeError, ValueError, RecursionError):
        return False


def _same(back: Any, given: Any) -> bool:
    """Equal, and nothing has become something else, such as a tuple a list."""
    if isinstance(back, dict) and isinstance(given, dict):
        return back.keys() == given.keys() and all(_same(back[k], v) for k, v in given.items())
    if isinstance(back, list) and isinstance(given, list):
        return all(map(_same, back, given))
    return isinstance(given, type(back)) and bool(back == given)
