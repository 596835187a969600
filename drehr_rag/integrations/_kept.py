"""What a framework gave comes back as it was given, through either framework, or is refused."""

import json
from collections.abc import Mapping
from typing import Any

from drehr_rag.errors import BadArgument
from drehr_rag.types import Chunk

KEPT = "framework_metadata"
"""Key in the chunk's metadata. The value is JSON text, since one in eight numbers with a fraction
comes out of Qdrant's engine changed in its last digit (measured)."""

HALF = "holds half of a surrogate pair, which cannot be stored"

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

ONE_LOST = (
    "differs from another of the same id that has the same words: passages of one of them would "
    "be lost, so give each an id of its own"
)


def kept(chunk: Chunk) -> dict[str, Any] | None:
    """A copy of what was given; None for a chunk that no framework wrote."""
    if KEPT not in chunk.metadata:
        return None
    given: dict[str, Any] = json.loads(chunk.metadata[KEPT])
    return given


def storable(text: str) -> bool:
    """Whether it is text all through; half of a surrogate pair is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_json(values: Mapping[Any, Any], what: str = "metadata") -> str:
    """JSON text from which equal values can be read.

    Raises:
        BadArgument: There is none: a key is no text, or a value would come back as another. No
            value is repeated.
    """
    if (text := _surviving(values)) is not None and all(isinstance(key, str) for key in values):
        return text
    for key, value in values.items():
        if not isinstance(key, str):
            raise BadArgument(f"{what} has a key that is {type(key).__name__}, not text")
        if _surviving(key) is None or _surviving(value) is None:
            raise BadArgument(
                f"{what}[{key!r}] ({type(value).__name__}) is or holds what JSON cannot hold as "
                "it is: make it text, a finite number, or a list or dict (with text for keys)"
            )
    raise BadArgument(f"{what} is or holds what JSON cannot hold as it is")


def _surviving(value: object) -> str | None:
    """Its JSON text, if an equal value can be read from that."""
    try:
        text = as_text(value)
        back = json.loads(text)
        return text if repr(back) == repr(value) or _same(back, value) else None
    except (TypeError, ValueError, RecursionError):
        return None


def as_text(value: object) -> str:
    """JSON text of what is known to be JSON.

    Raises:
        TypeError, ValueError: It is none after all, or holds half of a surrogate pair.
    """
    text = _JSON.encode(value)
    text.encode()
    return text


def _same(back: Any, given: Any) -> bool:
    """Equal, and nothing has become something else, such as a tuple a list."""
    if isinstance(back, dict) and isinstance(given, dict):
        return back.keys() == given.keys() and all(_same(back[k], v) for k, v in given.items())
    if isinstance(back, list) and isinstance(given, list):
        return all(map(_same, back, given))
    return isinstance(given, type(back)) and bool(back == given)
