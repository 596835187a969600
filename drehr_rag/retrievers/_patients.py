"""Hits by patient: what either side has for its best patients, and hits put into groups."""

from collections.abc import Iterable, Mapping

from drehr_rag.retrievers.dense import DenseRetriever
from drehr_rag.retrievers.lexical import LexicalRetriever
from drehr_rag.types import Chunk, Filters, Hit, PatientHits, Ranked, Scope

PER_PATIENT = 10
"""Hits a patient taken from each side; fixed, so that the patients' order does not depend on how
many hits are asked for."""

Side = DenseRetriever | LexicalRetriever


def best_of_sides(
    sides: Mapping[str, Side],
    query: str,
    *,
    scope: Scope,
    filters: Filters,
    patients: int,
    per_patient: int,
) -> tuple[dict[str, list[Ranked]], dict[str, Chunk]]:
    """The best chunks of each side's best patients, ranked by side, and the chunks by their ids."""
    found: dict[str, list[Ranked]] = {}
    chunks: dict[str, Chunk] = {}
    for stage, side in sides.items():
        groups = side.retrieve_patients(
            query,
            scope=scope,
            filters=filters,
            k=patients,
            per_patient=max(PER_PATIENT, per_patient),
        )
        hits = [hit for group in groups for hit in group.hits]
        chunks |= {hit.chunk.chunk_id: hit.chunk for hit in hits}
        ranked = [Ranked(hit.chunk.chunk_id, hit.score) for hit in hits]
        found[stage] = sorted(ranked, key=lambda one: (-one.score, one.chunk_id))
    return found, chunks


def by_patient(hits: Iterable[Hit], *, k: int, per_patient: int) -> list[PatientHits]:
    """The k patients of the best hits, best first, each with its best; nobody's are passed over."""
    patients: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.chunk.patient_id is not None:
            patients.setdefault(hit.chunk.patient_id, []).append(hit)
    best = list(patients.items())[:k]
    return [PatientHits(name, some[0].score, tuple(some[:per_patient])) for name, some in best]
