"""Dense and lexical search together, fused by plain reciprocal ranks (k = 60)."""

from functools import partial

from drehr_rag.protocols import Encoder, Store
from drehr_rag.retrievers._fusion import RRF_K, reciprocal_ranks
from drehr_rag.retrievers.hybrid import DEPTH, HybridRetriever


def build(
    *, encoder: Encoder, store: Store, rrf_k: int = RRF_K, depth: int = DEPTH
) -> HybridRetriever:
    """A hybrid retriever with reciprocal rank fusion."""
    fusion = partial(reciprocal_ranks, rrf_k=rrf_k)
    return HybridRetriever(encoder, store, fusion, depth=depth)
