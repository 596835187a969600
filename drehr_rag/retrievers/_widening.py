"""The lexical ranking of a query made wider: chunks in which its terms stand as phrases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from drehr_rag.protocols import Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._expansion import Term
from drehr_rag.retrievers._phrases import Passage, phrase_of
from drehr_rag.retrievers._terms import Folds, folded
from drehr_rag.types import AllPatients, Chunk, Filters, Match, Ranked, Scope, SparseVector

EACH = 50
"""Chunks that are looked at for one term: those of the best BM25, which holds all its words."""

READ = 1_000
"""Chunks that are read for one query; a hundred take about a millisecond (Qdrant Edge 0.9)."""

FEW = 200
"""Chunks with any word of any term, up to which all of them are read first."""

STRING = 0.9
"""Least worth of a chunk in which the query itself stands: no weight of the package's is above it,
so that nothing stands before what says the query's own words."""

EVEN = 0.5
"""Share of a term's weight that any mention has; the rest goes by BM25, the best mention's being 1.
"""

WORDS = 64
"""Words of a query that are weighed one by one."""

TOLD = 5
"""Matches that a hit tells."""


@dataclass(frozen=True, slots=True)
class Widened:
    """What terms made of a lexical ranking.

    Attributes:
        ranked: Every chunk by its worth, from 0 to 1; empty if there was nothing to widen by.
        matches: By which terms chunks were found, the weightiest first.
        chunks: Those that were read, by point.
    """

    ranked: list[Ranked] = field(default_factory=list)
    matches: dict[str, tuple[Match, ...]] = field(default_factory=dict)
    chunks: dict[str, Chunk] = field(default_factory=dict)


def widen(
    query: str,
    terms: Sequence[Term],
    sides: Mapping[str, Sequence[Ranked]],
    store: Store,
    scope: Scope,
    filters: Filters,
) -> Widened:
    """Score the lexical side anew, with what the terms find.

    A chunk with the query's own words is worth 0.9 to 1 if they stand together, less if they do
    not, by as much as are missing; one with a term is worth 0.5 to 1 times the term's weight. The
    best counts: terms never take from a chunk what it has.
    """
    if not terms:
        return Widened()
    lexical, read = sides["lexical"], _Read(store, scope, filters)
    if not isinstance(scope, AllPatients):
        terms = read.standing(terms)
    vectors = sparse_queries([term.text for term in terms])
    rankings = store.rank_sparse(vectors, scope=scope, filters=filters, k=EACH, named=False)
    passages = read.passages(_wanted(lexical, terms, rankings))
    worth = _own(query, lexical, passages, _bound(query, store, scope, filters))
    matches: dict[str, list[Match]] = {}
    for term, ranking in zip(terms, rankings, strict=True):
        phrase = phrase_of(term)
        there = [r for r in ranking if r.chunk_id in passages]
        there = [r for r in there if passages[r.chunk_id].has(phrase, exact=term.exact)]
        for one in there:
            share = EVEN + (1 - EVEN) * one.score / (there[0].score or 1.0)
            worth[one.chunk_id] = max(worth.get(one.chunk_id, 0.0), term.weight * share)
            match = Match(term.text, term.kind, term.of, term.weight, term.concept)
            matches.setdefault(one.chunk_id, []).append(match)
    order = sorted(worth.items(), key=lambda item: (-item[1], item[0]))
    told = {point: tuple(some[:TOLD]) for point, some in matches.items()}
    return Widened([Ranked(point, score) for point, score in order], told, read.chunks)


class _Read:
    """What is read for one query, each chunk once."""

    def __init__(self, store: Store, scope: Scope, filters: Filters) -> None:
        self.chunks: dict[str, Chunk] = {}
        self._store, self._where = store, {"scope": scope, "filters": filters}
        self._passages: dict[str, Passage] = {}
        self._folds = Folds()

    def passages(self, points: Sequence[str]) -> dict[str, Passage]:
        """Those of the points that are there, as passages."""
        fresh = self._store.at([p for p in points if p not in self.chunks], **self._where)
        self.chunks |= fresh
        self._passages |= {p: Passage.of(c.text, self._folds) for p, c in fresh.items()}
        return self._passages

    def standing(self, terms: Sequence[Term]) -> Sequence[Term]:
        """The terms that stand in scope, if few chunks have any of their words; else all.

        One question for all words is cheaper than one for each term, and a patient's notes hold
        few of the terms.
        """
        vectors = sparse_queries([term.text for term in terms])
        every = tuple(sorted({index for vector in vectors for index in vector.indices}))
        any_word = SparseVector(every, (1.0,) * len(every))
        (found,) = self._store.rank_sparse([any_word], k=FEW, named=False, **self._where)
        if len(found) == FEW:
            return terms
        there = self.passages([one.chunk_id for one in found]).values()
        plain = "\n".join(passage.plain for passage in there)
        written = "\n".join(passage.written for passage in there)
        return [t for t in terms if phrase_of(t) in (written if t.exact else plain)]


def _wanted(
    lexical: Sequence[Ranked], terms: Sequence[Term], rankings: Sequence[Sequence[Ranked]]
) -> list[str]:
    """Points to read: the query's own first, then each term's best, then their second, …."""
    places = [
        (rank, -term.weight, one.chunk_id)
        for term, ranking in zip(terms, rankings, strict=True)
        for rank, one in enumerate(ranking)
    ]
    points = [one.chunk_id for one in lexical] + [point for _, _, point in sorted(places)]
    return list(dict.fromkeys(points))[:READ]


def _own(
    query: str, lexical: Sequence[Ranked], passages: Mapping[str, Passage], bound: float
) -> dict[str, float]:
    """What the query's own words are worth: as a phrase, else as a bag beside the best bag."""
    phrase = folded(query)
    whole = [
        one
        for one in lexical
        if one.chunk_id in passages and passages[one.chunk_id].has(phrase, exact=False)
    ]
    worth = {one.chunk_id: min(STRING, one.score / bound) for one in lexical if bound}
    for one in whole:
        least = STRING + (1 - STRING) * one.score / (whole[0].score or 1.0)
        worth[one.chunk_id] = max(worth.get(one.chunk_id, 0.0), least)
    return worth


def _bound(query: str, store: Store, scope: Scope, filters: Filters) -> float:
    """What a chunk would have in which each word of the query stands as often as anywhere.

    A word that stands nowhere in scope is taken for as telling as the most telling that does.
    """
    (vector,) = sparse_queries([query])
    alone = [SparseVector((index,), (1.0,)) for index in vector.indices[:WORDS]]
    if not alone:
        return 0.0
    found = store.rank_sparse(alone, scope=scope, filters=filters, k=1, named=False)
    best = [ranking[0].score for ranking in found if ranking]
    return sum(best) + (len(alone) - len(best)) * max(best, default=0.0)
