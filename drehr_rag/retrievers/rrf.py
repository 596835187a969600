"""Dense and lexical search together, fused by plain reciprocal ranks (k = 60)."""

from drehr_rag.protocols import Encoder, Store
from drehr_rag.retrievers._fusion import reciprocal_ranks
from drehr_rag.retrievers.hybrid import HybridRetriever


def build(*, encoder: Encoder, store: Store) -> HybridRetriever:
    """A hybrid retriever with reciprocal rank fusion."""
    return HybridRetriever(encoder, store, reciprocal_ranks)
