"""What is said of places in a chunk: by the mentions that its note came with, else by rules."""

from collections.abc import Iterable, Sequence

from drehr_rag.notes.assertions import Span, assertions_of
from drehr_rag.types import Chunk, Mention, Status


def told(chunk: Chunk, places: Sequence[Span], *, section: str | None = None) -> list[Status]:
    """The status of each place.

    Args:
        chunk: The chunk.
        places: Offsets into its `source`.
        section: The heading that it stands under, where the text does not show it.

    Raises:
        BadArgument: A place lies outside of the source.
    """
    known = [
        covering(chunk.mentions, chunk.start + start, chunk.start + end) for start, end in places
    ]
    unknown = [place for place, status in zip(places, known, strict=True) if status is None]
    found = assertions_of(chunk.source, unknown, section=section) if unknown else []
    by_rules = iter(found)
    return [status or next(by_rules).status for status in known]


def covering(mentions: Iterable[Mention], start: int, end: int) -> Status | None:
    """What the shortest mention says that holds all of these words; None if none does.

    Of two annotations of the same words the one that says `present` counts: what might be there is
    not hidden.
    """
    holding = [one for one in mentions if one.start <= start and end <= one.end]
    if not holding:
        return None
    return min(holding, key=lambda one: (one.end - one.start, one.status != "present")).status
