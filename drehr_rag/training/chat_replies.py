"""What comes of asking a language model: a reply, or silence with its reason."""

from dataclasses import dataclass, field


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
