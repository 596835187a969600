"""Text to sparse term weights for BM25, by Qdrant's own model; the store adds IDF."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import qdrant_edge as q

from drehr_rag.types import SparseVector

K = 1.2
B = 0.75
"""Robertson and Zaragoza's usual values, which are Qdrant's defaults."""

AVERAGE_LENGTH = 60.0
"""Tokens of a chunk of 100 words after stop words (MTSamples: 59.6; docs/measurements.md)."""


@cache
def _model() -> Any:
    return q.Bm25(q.Bm25Config(k=K, b=B, avg_len=AVERAGE_LENGTH))


def sparse_passages(texts: Sequence[str]) -> list[SparseVector]:
    """Term frequencies of each text, saturated and normalised by length."""
    return [_own(_model().embed_document(text)) for text in texts]


def sparse_queries(texts: Sequence[str]) -> list[SparseVector]:
    """Each different term of the text, with weight 1."""
    return [_own(_model().embed_query(text)) for text in texts]


def _own(vector: Any) -> SparseVector:
    return SparseVector(tuple(vector.indices), tuple(vector.values))
