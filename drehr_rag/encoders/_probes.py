"""Eight texts whose vectors tell encoders apart where their weights cannot be compared."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from drehr_rag.protocols import Encoder

TEXTS: Final = (
    "heart failure",
    "MI",
    "Pt c/o SOB x3d, LE edema, on lasix 40 mg BID.",
    "HOSPITAL COURSE: The patient was admitted with chest pain and ruled in for NSTEMI.",
    "No fever, chills or night sweats.",
    "Na 128, K 5.6, Cr 2.3, glucose 412",
    "Family history: mother had breast cancer at 52.",
    "Discharged home on apixaban; follow up with cardiology in two weeks.",
)
"""Entity, abbreviation, shorthand, prose, negation, numbers, family history, plan: what notes have.
They stay as they are: stores hold their vectors."""

ALIKE: Final = 0.999
"""Least cosine at which two encoders are one: bfloat16 against float32 gives 0.9998 here, another
revision of a model 0.99 and less (by hand, 2026-11-21)."""


def vectors_of(encoder: Encoder) -> dict[str, str]:
    """The probes' vectors by either verb, as base64 of float16, for the manifest."""
    return {
        "queries": _packed(encoder.encode_queries(TEXTS)),
        "passages": _packed(encoder.encode_passages(TEXTS)),
    }


def likeness(held: Mapping[str, Any], encoder: Encoder) -> float:
    """Least cosine between the held vectors and the encoder's; -1 if they cannot be compared."""
    least = 1.0
    given = vectors_of(encoder)
    for verb in ("queries", "passages"):
        one, other = _unpacked(held[verb]), _unpacked(given[verb])
        if one.shape != other.shape:
            return -1.0
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        least = min(least, float(((one * other).sum(axis=1) / lengths).min()))
    return least


def _packed(vectors: Any) -> str:
    return base64.b64encode(np.asarray(vectors, dtype="<f2").tobytes()).decode("ascii")


def _unpacked(text: str) -> Any:
    flat = np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float64)
    return flat.reshape(len(TEXTS), -1)
