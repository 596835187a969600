"""The rules of `notes/assertions.py` over the places that a finder gives, without any model."""

from collections.abc import Callable, Iterator, Sequence

from drehr_rag.notes.assertions import assertions_of
from drehr_rag.types import Mention

Find = Callable[[str], Sequence[tuple[int, int]]]
"""Where a text mentions something: start and end of each place."""


def load(*, find: Find) -> "Rules":
    """The rules; `find` says where mentions stand."""
    return Rules(find)


class Rules:
    """Judges each place that is found by the words around it, in the whole note."""

    def __init__(self, find: Find) -> None:
        """Keep what finds mentions, e.g. the terms of a knowledge graph."""
        self._find = find

    def __call__(self, text: str) -> Iterator[Mention]:
        """The places with what is said of them."""
        places = list(self._find(text))
        for (start, end), one in zip(places, assertions_of(text, places), strict=True):
            yield Mention(start, end, one.status)
