"""Dense and lexical search together, fused by relative scores: the default."""

from collections.abc import Sequence

from drehr_rag.protocols import Encoder, Retriever, Store
from drehr_rag.retrievers._fusion import Fusion, relative_scores
from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.types import Filters, Hit, PatientHits, Scope

DEPTH = 200
"""Hits taken from each side before fusion (docs/measurements.md: 50 loses recall, 400 gains
little)."""

PER_PATIENT = 10
"""Hits a patient taken from each side; fixed, so that the patients' order does not depend on how
many hits are asked for."""


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

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k best of the `DEPTH` best patients of either side, in the order of their best hit.

        A patient's hits are the best of those that either side holds for it, at least 10 each.
        """
        found: dict[str, list[Hit]] = {}
        for stage, side in self._sides.items():
            groups = side.retrieve_patients(
                query,
                scope=scope,
                filters=filters,
                k=max(DEPTH, k),
                per_patient=max(PER_PATIENT, per_patient),
            )
            hits = [hit for group in groups for hit in group.hits]
            found[stage] = sorted(hits, key=lambda hit: (-hit.score, hit.chunk.chunk_id))
        patients: dict[str | None, list[Hit]] = {}
        for hit in self._fusion(found):
            patients.setdefault(hit.chunk.patient_id, []).append(hit)
        best = list(patients.items())[:k]
        return [PatientHits(name, hits[0].score, tuple(hits[:per_patient])) for name, hits in best]
