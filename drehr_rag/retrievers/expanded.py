"""Hybrid search widened by a knowledge graph: synonyms, abbreviations and narrower diseases."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from drehr_rag._arguments import MOST
from drehr_rag.errors import BadArgument
from drehr_rag.kg import packaged
from drehr_rag.kg.graph import StoredGraph
from drehr_rag.kg.inventories import Inventory
from drehr_rag.protocols import Encoder, KnowledgeGraph, Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._expansion import STEPS, WEIGHTS, Expander, Term
from drehr_rag.retrievers._fusion import DENSE_SHARE, Fusion, relative_scores
from drehr_rag.retrievers._patients import Side, best_of_sides, by_patient
from drehr_rag.retrievers._terms import Folds
from drehr_rag.retrievers._widening import Look, Widened, widen
from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.hybrid import DEPTH, as_points
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.types import Chunk, Filters, Hit, PatientHits, Ranked, Scope


def build(
    *,
    encoder: Encoder,
    store: Store,
    graph: KnowledgeGraph | str | Path = packaged.NAME,
    abbreviations: Inventory | Sequence[str | Path] | None = None,
    weights: Mapping[str, float] | None = None,
    steps: int = STEPS,
    dense_share: float = DENSE_SHARE,
    depth: int = DEPTH,
) -> "ExpandedRetriever":
    """A hybrid retriever that also looks for what a graph says in other words.

    Args:
        encoder: As for `hybrid`.
        store: As for `hybrid`.
        graph: Any knowledge graph, the folder of one that `drehr-rag kg build` made, or
            `packaged`: the one that comes with the package.
        abbreviations: An inventory, or its files, the most trusted first; the package's if not
            given, none if empty.
        weights: What a mention of a kind (`synonym`, `abbreviation`, `hyponym`, `related`) is
            worth beside one of the query itself; those not given stay as they are.
        steps: How far down narrower concepts are taken.
        dense_share: As for `hybrid`.
        depth: As for `hybrid`.

    Raises:
        BadArgument: There is no such kind, or a weight is not from 0 to 1.
        GraphError: The folder holds no graph, or a file is no inventory.
    """
    expander = Expander(
        opened(graph), _inventory(abbreviations), weights=checked(weights or {}), steps=steps
    )
    fusion = partial(relative_scores, dense_share=dense_share)
    return ExpandedRetriever(encoder, store, expander, fusion, depth=depth)


class ExpandedRetriever:
    """Asks either side as `hybrid` does, and for each term besides; fuses by relative scores.

    A query of which the graph knows nothing gets what `hybrid` gives.

    Attributes:
        expander: What widens queries.
    """

    def __init__(
        self,
        encoder: Encoder,
        store: Store,
        expander: Expander,
        fusion: Fusion,
        *,
        depth: int = DEPTH,
    ) -> None:
        """Keep the parts."""
        self._encoder = encoder
        self._store = store
        self.expander = expander
        self._fusion = fusion
        self._depth = depth
        self._folds = Folds()
        self._sides: dict[str, Side] = {
            "dense": DenseRetriever(encoder, store),
            "lexical": LexicalRetriever(store),
        }

    def expand(self, query: str) -> list[Term]:
        """What else is looked for, the weightiest first, each term with its reason."""
        return self.expander.expand(query)

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best hits of each query; each tells which terms it was found by, and why."""
        best = self._best(queries, scope, filters, k)
        chunks = {point: chunk for _, widened in best for point, chunk in widened.chunks.items()}
        wanted = dict.fromkeys(one.chunk_id for ranked, _ in best for one in ranked)
        unread = [point for point in wanted if point not in chunks]
        chunks |= self._store.at(unread, scope=scope, filters=filters)
        return [_hits(ranked, chunks, widened) for ranked, widened in best]

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks."""
        found = self.retrieve(queries, scope=scope, filters=filters, k=k)
        return [
            [Ranked(hit.chunk.chunk_id, hit.score, hit.scores) for hit in hits] for hits in found
        ]

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k best patients by their best hit, among those that either side or a term finds."""
        found, known = best_of_sides(
            self._sides,
            query,
            scope=scope,
            filters=filters,
            patients=max(DEPTH, k),
            per_patient=per_patient,
        )
        sides, names = as_points(found)
        widened = self._widened(query, sides, scope, filters)
        chunks = {point: known[name] for point, name in names.items()} | widened.chunks
        hits = _hits(self._fused(sides, widened, MOST), chunks, widened)
        return by_patient(hits, k=k, per_patient=per_patient)

    def _best(
        self, queries: Sequence[str], scope: Scope, filters: Filters, k: int
    ) -> list[tuple[list[Ranked], Widened]]:
        """The k best points of each query, and what they were widened by."""
        where: Any = {"scope": scope, "filters": filters, "k": max(self._depth, k), "named": False}
        dense = self._store.rank_dense(self._encoder.encode_queries(queries), **where)
        lexical = self._store.rank_sparse(sparse_queries(queries), **where)
        best = []
        for query, near, same in zip(queries, dense, lexical, strict=True):
            sides = {"dense": near, "lexical": same}
            widened = self._widened(query, sides, scope, filters)
            best.append((self._fused(sides, widened, k), widened))
        return best

    def _widened(
        self, query: str, sides: Mapping[str, list[Ranked]], scope: Scope, filters: Filters
    ) -> Widened:
        look = Look(self._store, scope, filters, self._folds)
        return widen(query, self.expand(query), sides, look)

    def _fused(self, sides: Mapping[str, list[Ranked]], widened: Widened, k: int) -> list[Ranked]:
        if not widened.ranked:
            return self._fusion(sides)[:k]
        fused = self._fusion({**sides, "lexical": widened.ranked})[:k]
        words = {one.chunk_id: one.score for one in sides["lexical"]}
        return [replace(one, scores=_told(one, words)) for one in fused]


def opened(graph: KnowledgeGraph | str | Path) -> KnowledgeGraph:
    """The graph, opened if it is a folder or the package's.

    Raises:
        GraphError: The folder holds none.
    """
    if graph == packaged.NAME:
        return packaged.packaged_graph()
    return StoredGraph(graph) if isinstance(graph, str | Path) else graph


def checked(weights: Mapping[str, float]) -> Any:
    """The package's weights with these in their places.

    Raises:
        BadArgument: There is no such kind, or a weight is not from 0 to 1.
    """
    for kind, weight in weights.items():
        if kind not in WEIGHTS or kind == "string":
            known = ", ".join(name for name in WEIGHTS if name != "string")
            raise BadArgument(f"weights are of {known}, not of {kind!r}")
        if not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise BadArgument(f"the weight of {kind} is a number from 0 to 1, not {weight!r}")
    return {**WEIGHTS, **weights}


def _inventory(abbreviations: Inventory | Iterable[str | Path] | None) -> Inventory | None:
    if abbreviations is None:
        return packaged.packaged_inventory()
    if isinstance(abbreviations, str | Path):
        abbreviations = [abbreviations]
    if not isinstance(abbreviations, Inventory):
        abbreviations = Inventory(Path(file) for file in abbreviations)
    return abbreviations if len(abbreviations) else None


def _told(one: Ranked, words: Mapping[str, float]) -> dict[str, float]:
    """Scores by stage: `lexical` is BM25 as ever, `expanded` what the terms made of it."""
    told = {"dense": one.scores["dense"]} if "dense" in one.scores else {}
    if one.chunk_id in words:
        told["lexical"] = words[one.chunk_id]
    if "lexical" in one.scores:
        told["expanded"] = one.scores["lexical"]
    return told


def _hits(ranked: Sequence[Ranked], chunks: Mapping[str, Chunk], widened: Widened) -> list[Hit]:
    return [
        Hit(chunks[one.chunk_id], one.score, one.scores, widened.matches.get(one.chunk_id, ()))
        for one in ranked
        if one.chunk_id in chunks
    ]
