"""What a loader yields of one concept, and what a matcher finds."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Record:
    """What a source says of one concept; any number of records may speak of the same one.

    Attributes:
        concept_id: As `DOID:1205` or a CUI; never empty.
        terms: Names, as the source writes them.
        preferred: The name to show first; it need not be among `terms`.
        parents: Concepts one step broader (is_a).
        related: Pairs of a relation's name and a concept id, e.g. `("has_symptom", "SYMP:19")`.
        types: Semantic types, by name.
        same_as: Ids in other sources that mean the same concept; `build` joins them.
    """

    concept_id: str
    terms: tuple[str, ...] = ()
    preferred: str | None = None
    parents: tuple[str, ...] = ()
    related: tuple[tuple[str, str], ...] = ()
    types: tuple[str, ...] = ()
    same_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of a source that could not be used.

    Attributes:
        place: The file, and the row where there is one.
        reason: Why, for people.
    """

    place: str
    reason: str


class Mention(NamedTuple):
    """A term in a text.

    Attributes:
        start: Offset into the text, as it was given.
        end: Likewise, behind the last character.
        term: The term's place in the list of terms; for a graph, `graph.concepts_of_term` takes it.
    """

    start: int
    end: int
    term: int
