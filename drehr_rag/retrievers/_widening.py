"""The lexical ranking of a query made wider: chunks in which its terms stand as phrases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drehr_rag.kg.senses import Senses
from drehr_rag.notes.folding import RESPELT, Folds, folded
from drehr_rag.protocols import Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._expansion import Term
from drehr_rag.retrievers._linking import RARE
from drehr_rag.retrievers._phrases import Passage, may_stand, phrase_of
from drehr_rag.types import AllPatients, Chunk, Filters, Match, Ranked, Scope, SparseVector

EACH = 50
"""Chunks that are looked at for one term: those of the best BM25, which holds all its words."""

READ = 120
"""Chunks that are read for one query; a hundred take two milliseconds (Qdrant Edge 0.9)."""

OWN = 40
"""Of them, the best by the query's own words; whether they stand together matters at the top."""

LEAST = 5
"""Chunks that are looked at for one of many terms, at least: more than are read of each."""

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
    each = min(EACH, max(LEAST, 2 * READ // max(1, len(terms))))
    rankings = look.best([term.text for term in terms], each)
    passages = look.passages(_wanted(lexical, terms, rankings))
    worth = _own(query, lexical, passages, look.bound(query))
    matches: dict[str, list[Match]] = {}
    for term, ranking in zip(terms, rankings, strict=True):
        phrase = phrase_of(term)
        there = [r for r in ranking if r.chunk_id in passages]
        there = [r for r in there if passages[r.chunk_id].has(phrase, exact=term.exact)]
        for one in there:
            weight = look.weight(term, passages[one.chunk_id])
            if not weight:
                continue
            share = EVEN + (1 - EVEN) * one.score / (there[0].score or 1.0)
            worth[one.chunk_id] = max(worth.get(one.chunk_id, 0.0), weight * share)
            match = Match(term.text, term.kind, term.of, weight, term.concept, term.near)
            matches.setdefault(one.chunk_id, []).append(match)
    order = sorted(worth.items(), key=lambda item: (-item[1], item[0]))
    told = {
        point: tuple(sorted(some, key=lambda match: -match.weight)[:TOLD])
        for point, some in matches.items()
    }
    return Widened([Ranked(point, score) for point, score in order], told, look.chunks)


class Look:
    """One query's look into a store: inside its scope, each chunk read once.

    Attributes:
        chunks: What was read, by point.
    """

    def __init__(
        self,
        store: Store,
        scope: Scope,
        filters: Filters,
        folds: Folds,
        there: set[int],
        told: Senses | None = None,
    ) -> None:
        """Nothing is read yet; `there` are words (as BM25 has them) that the store has had."""
        self.chunks: dict[str, Chunk] = {}
        self._store, self._scope, self._filters = store, scope, filters
        self._passages: dict[str, Passage] = {}
        self._folds = folds
        self._there = there
        self._told = told

    def best(self, texts: Sequence[str], k: int) -> list[list[Ranked]]:
        """The k best points of each text, by BM25."""
        return self._rank(sparse_queries(texts), k)

    def passages(self, points: Sequence[str]) -> dict[str, Passage]:
        """What was read, and those of the points that are there."""
        fresh = [point for point in points if point not in self.chunks]
        found = self._store.at(fresh, scope=self._scope, filters=self._filters)
        self.chunks |= found
        self._passages |= {p: Passage(c.text, self._folds, c.section) for p, c in found.items()}
        return self._passages

    def weight(self, term: Term, passage: Passage) -> float:
        """What a term is worth in a passage where it stands: an abbreviation, by its sense there.

        Nothing, if it means something else there.
        """
        if self._told is None or term.sense is None:
            return term.weight
        usual = self._told.of(term.text)[term.sense].share
        shares = (self._told.shares(term.text, cues) for cues in passage.cues(term.text))
        likely = max((each[term.sense] for each in shares), default=usual)
        return term.weight / usual * likely if likely >= RARE else 0.0

    def standing(self, terms: Sequence[Term]) -> Sequence[Term]:
        """The terms that may stand in scope, as far as that is told cheaply.

        One question for all words costs less than one for each term, and the notes of a few
        patients hold few of the terms.
        """
        vectors = sparse_queries([term.text for term in terms])
        words = tuple(sorted({index for vector in vectors for index in vector.indices}))
        if isinstance(self._scope, AllPatients):
            return self._possible(terms, vectors, words)
        (found,) = self._rank([SparseVector(words, (1.0,) * len(words))], FEW)
        if len(found) == FEW:
            return terms
        there = self.passages([one.chunk_id for one in found]).values()
        small = "\n".join(passage.small for passage in there)
        text = "\n".join(passage.text for passage in there)
        return [t for t in terms if may_stand(phrase_of(t), text if t.exact else small)]

    def _possible(
        self, terms: Sequence[Term], vectors: Sequence[SparseVector], words: Sequence[int]
    ) -> Sequence[Term]:
        """The terms of which no word is missing everywhere.

        Half of a terminology's names have a word that no note has, and asking for such a word costs
        next to nothing. Words that were there before are not asked for again: should they have
        gone, a term is looked for in vain.
        """
        fresh = [word for word in words if word not in self._there]
        found = self._rank([SparseVector((word,), (1.0,)) for word in fresh], 1)
        self._there |= {word for word, ranking in zip(fresh, found, strict=True) if ranking}
        return [
            term
            for term, vector in zip(terms, vectors, strict=True)
            if self._there.issuperset(vector.indices) or RESPELT.search(folded(term.text))
        ]

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
    points = [one.chunk_id for one in lexical[:OWN]] + [point for _, _, point in sorted(places)]
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
