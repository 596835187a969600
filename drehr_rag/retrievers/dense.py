"""Nearest chunks by the encoder's vectors (cosine)."""

from collections.abc import Sequence

from drehr_rag.protocols import Encoder, Store
from drehr_rag.types import Filters, Hit, Scope


def build(*, encoder: Encoder, store: Store) -> "DenseRetriever":
    """A dense retriever."""
    return DenseRetriever(encoder, store)


class DenseRetriever:
    """Encodes the queries and asks the store."""

    def __init__(self, encoder: Encoder, store: Store) -> None:
        """Keep both."""
        self._encoder = encoder
        self._store = store

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k nearest chunks of each query."""
        vectors = self._encoder.encode_queries(queries)
        return self._store.search_dense(vectors, scope=scope, filters=filters, k=k)
