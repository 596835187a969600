"""The parts of a query that name something a knowledge graph knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from drehr_rag.kg.inventories import NONE, Inventory
from drehr_rag.kg.nearest import Near, NearestTerms
from drehr_rag.kg.senses import AROUND, cues_of
from drehr_rag.notes.folding import fold, folded, words
from drehr_rag.protocols import KnowledgeGraph
from drehr_rag.retrievers._terms import GENERAL, LONGEST, fit, looks_short, variants

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

NEAREST = 3
"""Names that a part is taken for of which nothing is known."""

LEAST = 0.7
"""Cosine of such a name at least; chosen on vaers2003 and mtsamples_select
(docs/measurements.md)."""

JOINING = frozenset(
    """
    a about after an and any are as at be before by did do does for from had has have he her his how
    is it its of on or she that the their then there these they this those to was were what when
    where which while who why will with
    """.split()
)
"""Words with which no name begins or ends: most stretches of a question are none for them."""

By = Literal["exact", "normalised", "abbreviation", "nearest"]
Known = tuple[int, int, list["Meaning"]]
"""Where a part of the query begins and ends, in words, and what it may mean."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a part of a query may mean.

    Attributes:
        name: The full name, or the part itself.
        concepts: Of the graph.
        share: How likely it is meant, from 0 to 1; of a nearest name, its cosine.
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


def link(
    query: str,
    graph: KnowledgeGraph,
    inventory: Inventory | None = None,
    nearest: NearestTerms | None = None,
    least: float = LEAST,
) -> list[Mention]:
    """The longest parts that are known, from left to right, none overlapping another.

    What stands between them is taken for the nearest names, if an encoder's are given. Time is
    bounded: at most 256 words are looked at, and 16 parts linked.
    """
    said = words(query)[:READ]
    content = [word for word in said if not _is_general(word, said)] or said
    found = _by_name(said, graph, inventory)
    if nearest is not None:
        found = sorted([*found, *_by_nearness(said, found, nearest, least)], key=lambda one: one[0])
    mentions = []
    for start, end, meanings in found[:MENTIONS]:
        own = sum(not _is_general(word, said) for word in said[start:end])
        part = min(1.0, own / len(content))
        mentions.append(Mention(" ".join(said[start:end]), part, tuple(meanings)))
    return mentions


def _is_general(word: str, said: Sequence[str]) -> bool:
    """Whether a word of a query tells nothing alone."""
    return word.lower() in GENERAL and not _stands_out(word, said)


def _stands_out(word: str, said: Sequence[str]) -> bool:
    """Whether capitals make it an abbreviation: "HIT" is one, where not all is in capitals."""
    return looks_short(word) and (len(said) == 1 or not all(map(str.isupper, said)))


def _by_name(
    said: Sequence[str], graph: KnowledgeGraph, inventory: Inventory | None
) -> list[Known]:
    found: list[Known] = []
    joins = [word.lower() in JOINING and not _stands_out(word, said) for word in said]
    start = 0
    while start < len(said) and len(found) < MENTIONS:
        for end in range(min(len(said), start + LONGEST), start, -1):
            if joins[start] or joins[end - 1]:
                continue
            if all(_is_general(word, said) for word in said[start:end]):
                continue
            near = [*said[max(0, start - AROUND) : start], *said[end : end + AROUND]]
            if meanings := _meanings(said[start:end], near, graph, inventory):
                found.append((start, end, meanings))
                start = end - 1
                break
        start += 1
    return found


def _by_nearness(
    said: Sequence[str], known: Sequence[Known], nearest: NearestTerms, least: float
) -> Iterator[Known]:
    """What is left between the known parts, without words of every day at its ends."""
    edges = [0, *(edge for start, end, _ in known for edge in (start, end)), len(said)]
    for first, last in list(pairwise(edges))[::2]:
        content = [at for at in range(first, last) if not _is_general(said[at], said)]
        start, end = (content[0], content[-1] + 1) if content else (first, first)
        text = " ".join(said[start:end])
        if fit(text):  # no longer than a name, too
            near = [one for one in nearest.nearest(text, NEAREST) if one.cosine >= least]
            if near:
                yield start, end, [_near(one) for one in near]


def _near(one: Near) -> Meaning:
    return Meaning(one.name, tuple(one.concepts[:CONCEPTS]), min(1.0, one.cosine), "nearest")


def _meanings(
    span: Sequence[str], near: Sequence[str], graph: KnowledgeGraph, inventory: Inventory | None
) -> list[Meaning]:
    text = " ".join(span)
    if len(text) < 2:
        return []
    meant = _of_abbreviation(text, near, graph, inventory) if len(span) == 1 else []
    if any(meaning.concepts for meaning in meant) or text.lower() in GENERAL:
        return meant
    if concepts := graph.concepts(text):
        by: By = "abbreviation" if looks_short(text) else "exact"
        return [Meaning(text, tuple(concepts[:CONCEPTS]), 1.0, by)]
    if meant:
        return meant
    for variant in dict.fromkeys(variants(list(span))):
        if variant != text.lower() and (concepts := graph.concepts(variant)):
            return [Meaning(variant, tuple(concepts[:CONCEPTS]), 1.0, "normalised")]
    return []


def _of_abbreviation(
    short: str, near: Sequence[str], graph: KnowledgeGraph, inventory: Inventory | None
) -> list[Meaning]:
    if inventory is None:
        return []
    found = []
    for names, share in _told(short, near, inventory):
        long = next((name for name in names if graph.concepts(name)), names[0])
        found.append(Meaning(long, tuple(graph.concepts(long)[:CONCEPTS]), share, "abbreviation"))
    return found


def _told(
    short: str, near: Sequence[str], inventory: Inventory
) -> list[tuple[tuple[str, ...], float]]:
    """The likeliest senses, each with its names: by the words around, where they tell."""
    found: list[tuple[tuple[str, ...], float]]
    if inventory.told is None or short not in inventory.told:
        found = [((long,), share) for long, share in senses(short, inventory).items()]
    else:
        shares = inventory.told.shares(short, cues_of(fold(" ".join(near))))
        known = [sense.names for sense in inventory.told.of(short)]
        found = sorted(zip(known, shares, strict=True), key=lambda one: -one[1])
    return [(names, share) for names, share in found if share >= RARE][:SENSES]


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
