"""Dense and lexical search together, fused by relative scores: the default."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from drehr_rag.protocols import Encoder, Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._fusion import DENSE_SHARE, Fusion, by_shares
from drehr_rag.retrievers._patients import Side, best_of_sides, by_patient
from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.stores._payload import point_id
from drehr_rag.types import Chunk, Filters, Hit, PatientHits, Ranked, Scope

DEPTH = 200
"""Hits taken from each side before fusion (docs/measurements.md: 50 loses recall, 400 gains
little)."""


def build(
    *, encoder: Encoder, store: Store, dense_share: float = DENSE_SHARE, depth: int = DEPTH
) -> "HybridRetriever":
    """A hybrid retriever; the dense score's share and the depth of either side can be set."""
    return HybridRetriever(encoder, store, by_shares(dense_share), depth=depth)


class HybridRetriever:
    """Asks both sides for at least `depth` hits and fuses them."""

    def __init__(
        self, encoder: Encoder, store: Store, fusion: Fusion, *, depth: int = DEPTH
    ) -> None:
        """Keep the parts."""
        self._encoder = encoder
        self._store = store
        self._depth = depth
        self._sides: dict[str, Side] = {
            "dense": DenseRetriever(encoder, store),
            "lexical": LexicalRetriever(store),
        }
        self._fusion = fusion

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best hits of each query; each hit tells its score on either side.

        Only what is returned is read; a chunk that goes meanwhile is left out.
        """
        found = self._found(queries, scope, filters, k, named=False)
        best = [self._fusion(sides)[:k] for sides in found]
        wanted = list(dict.fromkeys(one.chunk_id for ranked in best for one in ranked))
        chunks = self._store.at(wanted, scope=scope, filters=filters)
        return [_hits(ranked, chunks) for ranked in best]

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks."""
        found = self._found(queries, scope, filters, k, named=True)
        return [fused_as_points(self._fusion, sides)[:k] for sides in found]

    def _found(
        self, queries: Sequence[str], scope: Scope, filters: Filters, k: int, *, named: bool
    ) -> list[dict[str, list[Ranked]]]:
        """What either side has for each query."""
        where: Any = {"scope": scope, "filters": filters, "k": max(self._depth, k), "named": named}
        dense = self._store.rank_dense(self._encoder.encode_queries(queries), **where)
        lexical = self._store.rank_sparse(sparse_queries(queries), **where)
        return [{"dense": d, "lexical": w} for d, w in zip(dense, lexical, strict=True)]

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k best of the `DEPTH` best patients of either side, in the order of their best hit.

        A patient's hits are the best of those that either side holds for it, at least 10 each.
        """
        found, chunks = best_of_sides(
            self._sides,
            query,
            scope=scope,
            filters=filters,
            patients=max(DEPTH, k),
            per_patient=per_patient,
        )
        return by_patient(_hits(self._fusion(found), chunks), k=k, per_patient=per_patient)


def fused_as_points(fusion: Fusion, sides: Mapping[str, Sequence[Ranked]]) -> list[Ranked]:
    """Rankings by chunk made one, equal scores in the order that `retrieve` puts them in."""
    points, names = as_points(sides)
    return [replace(one, chunk_id=names[one.chunk_id]) for one in fusion(points)]


def as_points(
    sides: Mapping[str, Sequence[Ranked]],
) -> tuple[dict[str, list[Ranked]], dict[str, str]]:
    """Rankings by chunk as rankings by point, and each point's chunk."""
    names = {point_id(one.chunk_id): one.chunk_id for some in sides.values() for one in some}
    points = {name: point for point, name in names.items()}
    return {stage: _renamed(some, points) for stage, some in sides.items()}, names


def _renamed(ranked: Sequence[Ranked], points: Mapping[str, str]) -> list[Ranked]:
    by_point = (replace(one, chunk_id=points[one.chunk_id]) for one in ranked)
    return sorted(by_point, key=lambda one: (-one.score, one.chunk_id))


def _hits(ranked: Sequence[Ranked], chunks: Mapping[str, Chunk]) -> list[Hit]:
    there = [one for one in ranked if one.chunk_id in chunks]
    return [Hit(chunks[one.chunk_id], one.score, one.scores) for one in there]
