"""A question to hits: a search for each thing it asks about, one ranking, cut where it falls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from drehr_rag.qa.steering import steer
from drehr_rag.qa.times import When, times
from drehr_rag.retrievers._fusion import RRF_K
from drehr_rag.types import Hit, TimeUse

Find = Callable[[list[str], int], list[list[Hit]]]
"""Queries, and how many hits of each; the scope is bound already."""

Entities = Callable[[str], Sequence[str]]
"""A question to the clinical entities that it names."""

PASSAGES = 8
"""Hits that go on at most."""

FEWEST = 3
"""Hits that go on however far they fall off."""

FALL = 0.2
"""Share of the best score, below which hits are left out. On the ward's dev questions 0.2 loses no
evidence, 0.3 loses it for 4 of 29."""

QUESTION = 2.0
"""Weight of the whole question's ranking, beside 1 for each entity's: it asks for them together."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What is read.

    Attributes:
        queries: The question, then its entities.
        hits: Best first.
        left: How many were found and left out.
        times: The question's words of time, and what each did.
    """

    queries: tuple[str, ...] = field(repr=False)
    hits: tuple[Hit, ...]
    left: int = 0
    times: tuple[TimeUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched for, before it is.

    Attributes:
        queries: The question, then its entities.
        depth: Hits of each.
        most: Hits that go on at most.
        times: The question's times.
    """

    queries: tuple[str, ...] = field(repr=False)
    depth: int
    most: int
    times: tuple[When, ...]


def retrieve(
    question: str,
    find: Find,
    *,
    entities: Entities | None = None,
    most: int = PASSAGES,
    by_time: bool = True,
) -> Retrieved:
    """Search for the question and for each of its entities.

    DR.EHR's encoders were trained on entities, so a question of several finds evidence for each
    only when each is searched for.

    Args:
        question: In plain words.
        find: Searches.
        entities: Names what the question asks about; without, the question is searched for alone.
        most: Hits that go on at most.
        by_time: Whether words such as "latest" or "on discharge" move hits of that time up.
    """
    planned = plan(question, entities(question) if entities else (), most=most, by_time=by_time)
    return chosen(planned, find(list(planned.queries), planned.depth))


def plan(question: str, named: Sequence[str], *, most: int, by_time: bool) -> Plan:
    """What to search for, and how deep; arguments as of `retrieve`."""
    asked = times(question) if by_time else ()
    queries = tuple(dict.fromkeys([question, *(one for one in named if one.strip())]))
    return Plan(queries, most if len(queries) == 1 and not asked else 2 * most, most, asked)


def chosen(planned: Plan, rankings: Sequence[Sequence[Hit]]) -> Retrieved:
    """What is read of that which each query of the plan has found."""
    hits = rankings[0] if len(rankings) == 1 else _fused(rankings)
    hits, used = steer(hits, planned.times) if planned.times else (hits, ())
    kept = _cut(hits, planned.most)
    return Retrieved(planned.queries, tuple(kept), len(hits) - len(kept), used)


def _fused(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    """By reciprocal ranks; every ranking's first hit stays among the first of the whole."""
    totals: dict[str, float] = {}
    known: dict[str, Hit] = {}
    for number, ranking in enumerate(rankings):
        weight = 1.0 if number else QUESTION
        for rank, hit in enumerate(ranking, 1):
            key = hit.chunk.chunk_id
            known.setdefault(key, hit)
            totals[key] = totals.get(key, 0.0) + weight * (RRF_K + 1) / (RRF_K + rank)
    order = sorted(totals, key=lambda key: (-totals[key], key))
    firsts = dict.fromkeys(ranking[0].chunk.chunk_id for ranking in rankings if ranking)
    whole = [*(key for key in order if key in firsts), *(key for key in order if key not in firsts)]
    return [replace(known[key], score=totals[key]) for key in whole]


def _cut(hits: Sequence[Hit], most: int) -> Sequence[Hit]:
    """Up to where the score falls below its share of the best one's."""
    some = hits[:most]
    if not some or some[0].score <= 0:
        return some
    least = FALL * max(hit.score for hit in some)
    kept = [n for n, hit in enumerate(some) if n < FEWEST or hit.score >= least]
    return [some[n] for n in kept]
