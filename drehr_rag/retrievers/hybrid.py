"""Dense and lexical search together, fused by relative scores: the default."""

from collections.abc import Sequence

from drehr_rag.protocols import Encoder, Retriever, Store
from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.fusion import Fusion, relative_scores
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.types import Filters, Hit, Scope

DEPTH = 200
"""Hits taken from each side before fusion (docs/measurements.md: 50 loses recall, 400 gains
little)."""


def build(*, encoder: Encoder, store: Store) -> "HybridRetriever":
    """A hybrid retriever."""
    return HybridRetriever(encoder, store, relative_scores)


class HybridRetriever:
    """Asks both sides for at least `DEPTH` hits and fuses them."""

    def __init__(self, encoder: Encoder, store: Store, fusion: Fusion) -> None:
        """Keep the parts."""
        self._sides: dict[str, Retriever] = {
            "dense": DenseRetriever(encoder, store),
            "lexical": LexicalRetriever(store),
        }
        self._fusion = fusion

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best hits of each query; each hit tells its score on either side."""
        depth = max(DEPTH, k)
        found = {
            stage: side.retrieve(queries, scope=scope, filters=filters, k=depth)
            for stage, side in self._sides.items()
        }
        return [
            self._fusion({stage: hits[i] for stage, hits in found.items()})[:k]
            for i in range(len(queries))
        ]
