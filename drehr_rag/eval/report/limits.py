"""How much of each query a page holds, so that a browser still opens it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much of each query is put into the page.

    Attributes:
        top: Chunks of each ranking.
        judged: Judged chunks, those ranked best first.
        characters: Of each passage, where text was asked for.
    """

    top: int = 20
    judged: int = 1000
    characters: int = 2000


SMALLER = (
    Limits(),
    Limits(20, 200, 1000),
    Limits(20, 50, 500),
    Limits(10, 20, 300),
    Limits(10, 10, 0),
    Limits(5, 5, 0),
    Limits(0, 0, 0),
)
"""What is tried in turn until the page is small enough."""
