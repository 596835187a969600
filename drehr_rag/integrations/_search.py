"""Search with a vector that was made elsewhere, and by conditions that no store knows.

The core's own retrievers do the work, so scores and order are theirs.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from drehr_rag._arguments import MOST, check_words
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.protocols import Retriever
from drehr_rag.retrievers._asserted import asserted, checked_assertion
from drehr_rag.retrievers._expansion import Expander
from drehr_rag.retrievers._fusion import DENSE_SHARE, reciprocal_ranks, relative_scores
from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.expanded import ExpandedRetriever, packaged_expander
from drehr_rag.retrievers.hybrid import HybridRetriever
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.stores import ScopedStore
from drehr_rag.stores._payload import point_id
from drehr_rag.types import (
    AssertionMode,
    Chunk,
    Filters,
    Hit,
    Mode,
    Ranked,
    Scope,
    SparseVector,
    Vectors,
)

Keep = Callable[[Chunk], bool]
"""Whether a chunk meets the conditions; it can only narrow what the store returns."""

BOTH = ("hybrid", "expanded")
"""Modes in which words and vectors have a share."""

LOOK = 256
"""Hits that are looked at first when some may be dropped; then eight times as many, and so on."""


def search(
    store: ScopedStore,
    *,
    mode: Mode,
    words: str | None,
    vector: Vectors | None,
    scope: Scope,
    filters: Filters,
    k: int,
    assertion: AssertionMode = "ranked",
    keep: Keep | None = None,
    dense_share: float = DENSE_SHARE,
    expander: Expander | None = None,
) -> list[Hit]:
    """The k best chunks in scope, best first.

    Args:
        store: Where.
        mode: `dense`, `lexical`, `hybrid`, `rrf`, or with an expander `expanded`.
        words: The query; not needed by `dense`.
        vector: Of the query, shape (dimension,); not needed by `lexical`.
        scope: Whose notes.
        filters: What the store can narrow by.
        k: At most so many.
        assertion: As in `EhrIndex.search`; without words nothing is told apart.
        keep: What it cannot.
        dense_share: What the vectors count in `hybrid` and `expanded`, from 0 to 1.
        expander: What widens the words.

    Raises:
        BadArgument: A part that the mode needs is missing.
    """
    if mode != "dense":
        check_words(words, "query")
    if mode != "lexical" and vector is None:
        raise BadArgument(f"a {mode} search needs the query's vector")
    if mode == "expanded" and expander is None:
        raise BadArgument("an expanded search needs an expander")
    seen: Any = store if keep is None else _Sieve(store, keep)
    told = checked_assertion(assertion) if words else "any"
    found = _retriever(mode, _Known(vector), seen, dense_share, expander)
    retriever = asserted(found, told)
    return retriever.retrieve([words or ""], scope=scope, filters=filters, k=k)[0]


def expander_of(index: EhrIndex) -> Expander:
    """What widens an index's queries: `use_graph` may have put another in the package's place."""
    used = index._retrievers.get("expanded")
    return used.expander if isinstance(used, ExpandedRetriever) else packaged_expander()


def _retriever(
    mode: Mode, encoder: Any, store: Any, dense_share: float, expander: Expander | None
) -> Retriever:
    if mode == "dense" or (mode in BOTH and dense_share == 1):
        return DenseRetriever(encoder, store)
    if mode == "lexical" or (mode == "hybrid" and dense_share == 0):
        return LexicalRetriever(store)
    if mode == "expanded" and expander is not None:
        return ExpandedRetriever(encoder, store, expander, dense_share=dense_share)
    fused = partial(relative_scores, dense_share=dense_share)
    return HybridRetriever(encoder, store, reciprocal_ranks if mode == "rrf" else fused)


class _Known:
    """An encoder for one query, whose vector is known."""

    def __init__(self, vector: Vectors | None) -> None:
        self._vector = vector

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._vector for _ in texts])  # type: ignore[misc]


class _Sieve:
    """A store that shows only what passes; it asks for more until there is enough."""

    def __init__(self, store: ScopedStore, keep: Keep) -> None:
        self._store = store
        self._keep = keep

    def search_dense(self, vectors: Vectors, *, k: int, **where: Any) -> list[list[Hit]]:
        return [
            self._enough(partial(self._store.search_dense, vector[None], **where), k)
            for vector in vectors
        ]

    def search_sparse(
        self, vectors: Sequence[SparseVector], *, k: int, **where: Any
    ) -> list[list[Hit]]:
        return [
            self._enough(partial(self._store.search_sparse, [vector], **where), k)
            for vector in vectors
        ]

    def rank_dense(
        self, vectors: Vectors, *, named: bool = True, **where: Any
    ) -> list[list[Ranked]]:
        return [_ranked(hits, named) for hits in self.search_dense(vectors, **where)]

    def rank_sparse(
        self, vectors: Sequence[SparseVector], *, named: bool = True, **where: Any
    ) -> list[list[Ranked]]:
        return [_ranked(hits, named) for hits in self.search_sparse(vectors, **where)]

    def at(self, point_ids: Sequence[str], **where: Any) -> dict[str, Chunk]:
        return self._store.at(point_ids, **where)

    def _enough(self, ask: Callable[..., list[list[Hit]]], k: int) -> list[Hit]:
        look = max(LOOK, k)
        while True:
            hits = ask(k=look)[0]
            kept = [hit for hit in hits if self._keep(hit.chunk)]
            if len(kept) >= k or len(hits) < look or look == MOST:
                return kept[:k]
            look = min(8 * look, MOST)


def _ranked(hits: Sequence[Hit], named: bool) -> list[Ranked]:
    ids = [hit.chunk.chunk_id for hit in hits]
    names = ids if named else map(point_id, ids)
    return [Ranked(name, hit.score) for name, hit in zip(names, hits, strict=True)]
