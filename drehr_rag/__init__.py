"""Retrieval over clinical notes: DR.EHR encoders, Qdrant, answers with citations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drehr_rag.encoders import load_encoder
    from drehr_rag.errors import DrehrError
    from drehr_rag.index import EhrIndex
    from drehr_rag.notes.readers import Fields, read_notes
    from drehr_rag.stores import Access, Layout
    from drehr_rag.types import (
        AllPatients,
        Answer,
        Chunk,
        Citation,
        Cohort,
        Encounter,
        Filters,
        Hit,
        IndexReport,
        Note,
        Patient,
        PatientHits,
    )

__version__ = "0.1.0"

_HOME = {
    "EhrIndex": "drehr_rag.index",
    "load_encoder": "drehr_rag.encoders",
    "read_notes": "drehr_rag.notes.readers",
    "Fields": "drehr_rag.notes.readers",
    "DrehrError": "drehr_rag.errors",
    "Access": "drehr_rag.stores",
    "Layout": "drehr_rag.stores",
    **dict.fromkeys(
        (
            "AllPatients",
            "Answer",
            "Chunk",
            "Citation",
            "Cohort",
            "Encounter",
            "Filters",
            "Hit",
            "IndexReport",
            "Note",
            "Patient",
            "PatientHits",
        ),
        "drehr_rag.types",
    ),
}

__all__ = [
    "Access",
    "AllPatients",
    "Answer",
    "Chunk",
    "Citation",
    "Cohort",
    "DrehrError",
    "EhrIndex",
    "Encounter",
    "Fields",
    "Filters",
    "Hit",
    "IndexReport",
    "Layout",
    "Note",
    "Patient",
    "PatientHits",
    "load_encoder",
    "read_notes",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first touched (PEP 562): `import drehr_rag` stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module 'drehr_rag' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
