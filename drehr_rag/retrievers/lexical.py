"""Best chunks by BM25."""

from collections.abc import Sequence

from drehr_rag.protocols import Encoder, Store
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.types import Filters, Hit, PatientHits, Ranked, Scope


def build(*, store: Store, encoder: Encoder | None = None) -> "LexicalRetriever":
    """A lexical retriever; it needs no encoder."""
    return LexicalRetriever(store)


class LexicalRetriever:
    """Weighs the queries' words and asks the store."""

    def __init__(self, store: Store) -> None:
        """Keep the store."""
        self._store = store

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best chunks of each query."""
        vectors = sparse_queries(queries)
        return self._store.search_sparse(vectors, scope=scope, filters=filters, k=k)

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks."""
        vectors = sparse_queries(queries)
        return self._store.rank_sparse(vectors, scope=scope, filters=filters, k=k)

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k patients with the best chunks."""
        vector = sparse_queries([query])[0]
        return self._store.patients_sparse(
            vector, scope=scope, filters=filters, k=k, per_patient=per_patient
        )
