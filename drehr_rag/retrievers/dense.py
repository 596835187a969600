"""Nearest chunks by the encoder's vectors (cosine)."""

from collections.abc import Sequence

from drehr_rag.protocols import Encoder, Store
from drehr_rag.types import Filters, Hit, PatientHits, Ranked, Scope


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

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks."""
        vectors = self._encoder.encode_queries(queries)
        return self._store.rank_dense(vectors, scope=scope, filters=filters, k=k)

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k patients with the nearest chunks."""
        vector = self._encoder.encode_queries([query])[0]
        return self._store.patients_dense(
            vector, scope=scope, filters=filters, k=k, per_patient=per_patient
        )
