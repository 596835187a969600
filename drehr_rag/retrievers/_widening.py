"""The lexical ranking of a query made wider: chunks in which its terms stand as phrases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drehr_rag.protocols import Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._expansion import Term
from drehr_rag.retrievers._phrases import Passage, phrase_of
from drehr_rag.retrievers._terms import Folds, folded
from drehr_rag.types import AllPatients, Chunk, Filters, Match, Ranked, Scope, SparseVector

EACH = 50
"""Chunks that are looked at for one term: those of the best BM25, which holds all its words."""

READ = 400
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
    query: str, terms: Sequence[Term], sides: Mapping[str, Sequence[Ranked]], look: "Look"
) -> Widened:
    """Score the lexical side anew, with what the terms find.

    A chunk with the query's own words is worth 0.9 to 1 if they stand together, less if they do
    not, by as much as are missing; one with a term is worth 0.5 to 1 times the term's weight. The
    best counts: terms never take from a chunk what it has.
    """
    if not terms:
        return Widened()
    lexical = sides["lexical"]
    terms = look.standing(terms)
    rankings = look.best([term.text for term in terms], EACH)
    passages = look.passages(_wanted(lexical, terms, rankings))
    worth = _own(query, lexical, passages, look.bound(query))
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
    return Widened([Ranked(point, score) for point, score in order], told, look.chunks)


class Look:
    """One query's look into a store: inside its scope, each chunk read once.

    Attributes:
        chunks: What was read, by point.
    """

    def __init__(self, store: Store, scope: Scope, filters: Filters, folds: Folds) -> None:
        """Nothing is read yet."""
        self.chunks: dict[str, Chunk] = {}
        self._store, self._scope, self._filters = store, scope, filters
        self._passages: dict[str, Passage] = {}
        self._folds = folds

    def best(self, texts: Sequence[str], k: int) -> list[list[Ranked]]:
        """The k best points of each text, by BM25."""
        return self._rank(sparse_queries(texts), k)

    def passages(self, points: Sequence[str]) -> dict[str, Passage]:
        """What was read, and those of the points that are there."""
        fresh = [point for point in points if point not in self.chunks]
        found = self._store.at(fresh, scope=self._scope, filters=self._filters)
        self.chunks |= found
        self._passages |= {p: Passage.of(c.text, self._folds) for p, c in found.items()}
        return self._passages

    def standing(self, terms: Sequence[Term]) -> Sequence[Term]:
        """The terms that stand in scope, if few chunks there have any of their words; else all.

        One question for all words costs less than one for each term, and the notes of a few
        patients hold few of the terms.
        """
        if isinstance(self._scope, AllPatients):
            return terms
        vectors = sparse_queries([term.text for term in terms])
        words = tuple(sorted({index for vector in vectors for index in vector.indices}))
        (found,) = self._rank([SparseVector(words, (1.0,) * len(words))], FEW)
        if len(found) == FEW:
            return terms
        there = self.passages([one.chunk_id for one in found]).values()
        plain = "\n".join(passage.plain for passage in there)
        written = "\n".join(passage.written for passage in there)
        return [t for t in terms if phrase_of(t) in (written if t.exact else plain)]

    def bound(self, query: str) -> float:
        """What a chunk would have in which each word of the query stands as often as anywhere.

        A word that stands nowhere in scope is taken for as telling as the most telling that does.
        """
        (vector,) = sparse_queries([query])
        alone = [SparseVector((index,), (1.0,)) for index in vector.indices[:WORDS]]
        best = [ranking[0].score for ranking in self._rank(alone, 1) if ranking]
        return sum(best) + (len(alone) - len(best)) * max(best, default=0.0)

    def _rank(self, vectors: Sequence[SparseVector], k: int) -> list[list[Ranked]]:
        where: Any = {"scope": self._scope, "filters": self._filters}
        return self._store.rank_sparse(vectors, k=k, named=False, **where)


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
