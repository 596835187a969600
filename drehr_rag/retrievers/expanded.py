"""Hybrid search widened by a knowledge graph: synonyms, abbreviations and narrower diseases."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from drehr_rag._arguments import MOST, positive
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg import packaged
from drehr_rag.kg.graph import StoredGraph
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.nearest import NearestTerms, encoder_of
from drehr_rag.protocols import Encoder, KnowledgeGraph, Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._expansion import STEPS, WEIGHTS, Expander, Term
from drehr_rag.retrievers._fusion import DENSE_SHARE, by_shares, relative_scores
from drehr_rag.retrievers._linking import LEAST
from drehr_rag.retrievers._named_vectors import NamedVectors
from drehr_rag.retrievers._patients import Side, best_of_sides, by_patient
from drehr_rag.retrievers._widening import Look, Widened, widen
from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.hybrid import DEPTH, as_points
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.types import Chunk, Filters, Hit, PatientHits, Ranked, Scope

WORTH = 0.5
"""What the best chunk by words and terms is taken to be worth at least: a rare sense of an
abbreviation, or one word of three, does not become the best hit where nothing better is. On
vaers2003 and mtsamples_select nothing changes up to here; 0.9 costs .0001 and .002 of nDCG@10."""


def build(
    *,
    encoder: Encoder,
    store: Store,
    graph: KnowledgeGraph | str | Path = packaged.NAME,
    abbreviations: Inventory | Sequence[str | Path] | None = None,
    weights: Mapping[str, float] | None = None,
    steps: int = STEPS,
    nearest: NearestTerms | str | Path | None = None,
    least: float = LEAST,
    dense_share: float = DENSE_SHARE,
    dense_names: float = 0.0,
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
        nearest: The graph's names by an encoder, or the folder that `drehr-rag kg nearest` made of
            them: what the graph has no name for is taken for the nearest. None: it is not.
        least: Cosine of such a name at least.
        dense_share: As for `hybrid`.
        dense_names: What the query's other names count in its vector, from 0 to 1. None by
            default: they are looked for as phrases, and nothing is left to gain
            (docs/measurements.md).
        depth: As for `hybrid`.

    Raises:
        BadArgument: There is no such kind, a weight, `least`, `dense_share` or `dense_names` is
            not from 0 to 1, `steps` is below 1, or `graph` is none.
        EncoderMismatch: The nearest names were encoded by another encoder than is there now.
        GraphError: A folder holds no graph or no names of this graph, or a file is no inventory.
    """
    positive(steps, "steps")
    usual = abbreviations is None and not weights and steps == STEPS and nearest is None
    if graph == packaged.NAME and usual:
        expander = packaged_expander()
    else:
        known = opened(graph)
        expander = Expander(
            known,
            _inventory(abbreviations),
            weights=checked(weights or {}),
            steps=steps,
            nearest=None if nearest is None else _names(nearest, known, encoder),
            least=_cosine(least),
        )
    named: Any = NamedVectors(encoder, expander, dense_names) if dense_names else encoder
    return ExpandedRetriever(named, store, expander, dense_share=dense_share, depth=depth)


@cache
def packaged_expander() -> Expander:
    """What widens queries by the package's own graph; one for all indexes of this process."""
    return Expander(packaged.packaged_graph(), packaged.packaged_inventory())


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
        *,
        dense_share: float = DENSE_SHARE,
        depth: int = DEPTH,
    ) -> None:
        """Keep the parts.

        Raises:
            BadArgument: `dense_share` is not from 0 to 1.
        """
        self._encoder = encoder
        self._store = store
        self.expander = expander
        self._hybrid = by_shares(dense_share)
        self._fusion = partial(relative_scores, dense_share=dense_share, least=WORTH)
        self._depth = depth
        self._there: set[int] = set()
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
        known = self.expander
        look = Look(self._store, scope, filters, known.folds, self._there, known.told)
        return widen(query, self.expand(query), sides, look)

    def _fused(self, sides: Mapping[str, list[Ranked]], widened: Widened, k: int) -> list[Ranked]:
        if not widened.ranked:
            return self._hybrid(sides)[:k]
        fused = self._fusion({**sides, "lexical": widened.ranked})[:k]
        words = {one.chunk_id: one.score for one in sides["lexical"]}
        return [replace(one, scores=_told(one, words)) for one in fused]


def opened(graph: KnowledgeGraph | str | Path) -> KnowledgeGraph:
    """The graph, opened if it is a folder or the package's.

    Raises:
        BadArgument: It is neither a folder nor a graph.
        GraphError: The folder holds none.
    """
    if graph == packaged.NAME:
        return packaged.packaged_graph()
    if isinstance(graph, str | Path):
        return StoredGraph(graph)
    if not hasattr(graph, "synonyms"):
        raise BadArgument(f"a graph is a folder or a knowledge graph, not {type(graph).__name__}")
    return graph


def checked(weights: Mapping[str, float]) -> Any:
    """The package's weights with these in their places.

    Raises:
        BadArgument: There is no such kind, or a weight is not from 0 to 1.
    """
    if not isinstance(weights, Mapping):
        raise BadArgument(f"weights are a number by kind, not {type(weights).__name__}")
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


def _names(
    nearest: NearestTerms | str | Path, graph: KnowledgeGraph, encoder: Encoder
) -> NearestTerms:
    """Names of this very graph; the index's encoder serves if it made them."""
    if not isinstance(graph, StoredGraph):
        raise BadArgument("nearest goes with a graph in a folder (drehr-rag kg build)")
    if not isinstance(nearest, NearestTerms):
        name = encoder_of(nearest)
        own = encoder if encoder.name == name else load_encoder(name)
        return NearestTerms.open(nearest, graph, own)
    if nearest.graph.checksum != graph.checksum:
        raise GraphError(f"{nearest.folder} has no names of {graph.folder}: open it with its graph")
    return nearest


def _cosine(least: object) -> float:
    if isinstance(least, int | float) and 0 <= least <= 1:
        return least
    raise BadArgument(f"least is a cosine from 0 to 1, not {least!r}")


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
