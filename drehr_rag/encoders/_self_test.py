"""Whether an encoder was trained: random weights load without an error and ruin an index."""

from typing import Final

import numpy as np

from drehr_rag.errors import EncoderError
from drehr_rag.protocols import Encoder

PAIRS: Final = (
    ("heart attack", "myocardial infarction"),
    ("high blood pressure", "hypertension"),
    ("kidney failure", "renal failure"),
    ("broken hip", "hip fracture"),
    ("stroke", "cerebrovascular accident"),
    ("low blood sugar", "hypoglycemia"),
    ("gallbladder removal", "cholecystectomy"),
    ("blood clot in the lung", "pulmonary embolism"),
)
"""Names of the same thing that share few letters; common English medical terms."""


def synonyms_found(encoder: Encoder) -> int:
    """For how many of the 16 names the partner is among the nearest quarter of the other names.

    By chance 4; a trained encoder finds nearly all.
    """
    names = [name for pair in PAIRS for name in pair]
    vectors = encoder.encode_passages(names)
    likeness = vectors @ vectors.T
    found = 0
    for i in range(len(names)):
        partner = i ^ 1
        others = [j for j in range(len(names)) if j not in (i, partner)]
        rank = int(np.sum(likeness[i, others] >= likeness[i, partner]))
        found += rank <= len(others) // 4
    return found


LEAST = 11
"""Of 16 whose partner is among the nearest quarter: a random encoder finds 4 of 16 by chance."""


def refuse_untrained(encoder: Encoder) -> None:
    """Raise if the encoder knows synonyms no better than chance.

    Raises:
        EncoderError: Its weights look random.
    """
    found = synonyms_found(encoder)
    if found < LEAST:
        raise EncoderError(
            f"{encoder.name} finds {found} of {2 * len(PAIRS)} synonyms, about what random weights "
            f"find: the weights were not read (load with self_test=False if that is intended)"
        )
