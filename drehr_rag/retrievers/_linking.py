"""The parts of a query that name something a knowledge graph knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from drehr_rag.kg.inventories import NONE, Inventory
from drehr_rag.protocols import KnowledgeGraph
from drehr_rag.retrievers._terms import (
    GENERAL,
    LONGEST,
    folded,
    looks_short,
    variants,
    words,
)

READ = 256
"""Words of a query that are looked at; DR.EHR's queries have 1 to 12."""

MENTIONS = 16
"""Parts of one query that are linked."""

CONCEPTS = 8
"""Concepts of one name: a term of a thousand concepts tells nothing."""

SENSES = 4
"""Full names of one abbreviation."""

RARE = 0.05
"""Share of an abbreviation's uses below which a sense is not meant."""

UNCOUNTED = 0.5
"""What the senses of an abbreviation share that nobody counted."""

By = Literal["exact", "normalised", "abbreviation"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a part of a query may mean.

    Attributes:
        name: The full name, or the part itself.
        concepts: Of the graph.
        share: How likely it is meant, from 0 to 1.
        by: How it was found.
    """

    name: str
    concepts: tuple[str, ...]
    share: float
    by: By


@dataclass(frozen=True, slots=True)
class Mention:
    """A part of a query that names something.

    Attributes:
        text: As it is written.
        part: Which share of the query's content words it is.
        meanings: The likeliest first.
    """

    text: str
    part: float
    meanings: tuple[Meaning, ...]


def link(query: str, graph: KnowledgeGraph, inventory: Inventory | None = None) -> list[Mention]:
    """The longest parts that are known, from left to right, none overlapping another.

    Time is bounded: at most 256 words are looked at, and 16 parts linked.
    """
    said = words(query)[:READ]
    content = [word for word in said if word.lower() not in GENERAL] or said
    found: list[Mention] = []
    start = 0
    while start < len(said) and len(found) < MENTIONS:
        for end in range(min(len(said), start + LONGEST), start, -1):
            span = said[start:end]
            if meanings := _meanings(span, graph, inventory):
                own = sum(word.lower() not in GENERAL for word in span)
                part = min(1.0, own / len(content))
                found.append(Mention(" ".join(span), part, tuple(meanings)))
                start = end - 1
                break
        start += 1
    return found


def _meanings(
    span: Sequence[str], graph: KnowledgeGraph, inventory: Inventory | None
) -> list[Meaning]:
    text = " ".join(span)
    if all(word.lower() in GENERAL for word in span) or len(text) < 2:
        return []
    meant = _of_abbreviation(text, graph, inventory) if len(span) == 1 else []
    if any(meaning.concepts for meaning in meant):
        return meant
    if concepts := graph.concepts(text):
        by: By = "abbreviation" if looks_short(text) else "exact"
        return [Meaning(text, tuple(concepts[:CONCEPTS]), 1.0, by)]
    if meant:
        return meant
    for variant in variants(list(span)):
        if concepts := graph.concepts(variant):
            return [Meaning(variant, tuple(concepts[:CONCEPTS]), 1.0, "normalised")]
    return []


def _of_abbreviation(
    short: str, graph: KnowledgeGraph, inventory: Inventory | None
) -> list[Meaning]:
    if inventory is None:
        return []
    shares = [(long, share) for long, share in senses(short, inventory).items() if share >= RARE]
    return [
        Meaning(long, tuple(graph.concepts(long)[:CONCEPTS]), share, "abbreviation")
        for long, share in shares[:SENSES]
    ]


def senses(short: str, inventory: Inventory) -> dict[str, float]:
    """What an abbreviation may mean, with shares that make one, the likeliest first.

    Where notes were counted, senses that were not met in them are none. What is no name of
    something else ("MS" as "Ms.") is left out.
    """
    letters = folded(short)
    known = [s for s in inventory.senses(short) if s.long != NONE and folded(s.long) != letters]
    counted = [(s.long.lower(), s.share) for s in known if s.share]
    total = sum(share for _, share in counted)
    if total:
        return {long: share / total for long, share in counted}
    return {s.long.lower(): UNCOUNTED / len(known) for s in known}
