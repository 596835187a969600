"""Stretches of notes as sets of characters, and how much two such sets share."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol


class Place(Protocol):
    """Anything that stands at `[start, end)` of a note: evidence, a citation, a passage."""

    @property
    def note_id(self) -> str:
        """Which note."""
        ...

    @property
    def start(self) -> int:
        """Offset of the first character."""
        ...

    @property
    def end(self) -> int:
        """Offset after the last character."""
        ...


Spans = Mapping[str, Sequence[tuple[int, int]]]
"""Per note: stretches in order, none touching another."""


def spans_of(places: Iterable[Place]) -> Spans:
    """The characters that the places cover; one covered twice counts once."""
    edges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place in places:
        edges[place.note_id].append((place.start, place.end))
    return {note_id: _merged(sorted(found)) for note_id, found in edges.items()}


def _merged(ordered: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in ordered:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def size(spans: Spans) -> int:
    """How many characters."""
    return sum(end - start for found in spans.values() for start, end in found)


def shared(left: Spans, right: Spans) -> int:
    """How many characters are in both."""
    return sum(
        max(0, min(a[1], b[1]) - max(a[0], b[0]))
        for note_id in left.keys() & right.keys()
        for a, b in itertools.product(left[note_id], right[note_id])
    )


def overlaps(left: Place, right: Place) -> bool:
    """Whether two places have a character in common."""
    same = left.note_id == right.note_id
    return same and left.start < right.end and right.start < left.end
