"""A retriever that is looked up when it is asked: another may take its place by then."""

from collections.abc import Callable, Sequence

from drehr_rag.protocols import Retriever
from drehr_rag.types import Filters, Hit, PatientHits, Ranked, Scope


class Current:
    """Asks whatever retriever there is at that time."""

    def __init__(self, find: Callable[[], Retriever]) -> None:
        """Keep what finds it."""
        self._find = find

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """As the retriever does."""
        return self._find().retrieve(queries, scope=scope, filters=filters, k=k)

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As the retriever does."""
        return self._find().rank(queries, scope=scope, filters=filters, k=k)

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """As the retriever does."""
        return self._find().retrieve_patients(
            query, scope=scope, filters=filters, k=k, per_patient=per_patient
        )
