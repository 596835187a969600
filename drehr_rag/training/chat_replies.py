"""What comes of asking a language model: a reply, or silence with its reason."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote.

    Attributes:
        text: As it came.
        cut: Whether it ended because it was too long.
    """

    text: str = field(repr=False)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there is no reply.

    Attributes:
        reason: Of a few kinds, without text.
        passing: Whether a later try may do better: the server was busy, or not there.
    """

    reason: str
    passing: bool


def reply_of(content: Any) -> Reply | Silence:
    """What the server sent, as JSON, to what the model wrote."""
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"]
        cut = choice.get("finish_reason") == "length"
    except (KeyError, IndexError, TypeError, AttributeError):
        text = None
    if not isinstance(text, str):
        return Silence("sent a reply without text", False)
    return Reply(text.encode(errors="ignore").decode(), cut)  # no half of a surrogate pair
