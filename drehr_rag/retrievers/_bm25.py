"""Text to sparse term weights for BM25, by Qdrant's own model; the store adds IDF."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import qdrant_edge as q

from drehr_rag.types import SparseVector


@cache
def _model() -> Any:
    """Qdrant's defaults: k = 1.2, b = 0.75, average length 256, English stemmer and stop words.

    The average length of our chunks is a fourth of that, but telling the model so made both
    development sets worse (docs/measurements.md).
    """
    return q.Bm25()


def sparse_passages(texts: Sequence[str]) -> list[SparseVector]:
    """Term frequencies of each text, saturated and normalised by length."""
    return [_own(_model().embed_document(text)) for text in texts]


def sparse_queries(texts: Sequence[str]) -> list[SparseVector]:
    """Each different term of the text, with weight 1."""
    return [_own(_model().embed_query(text)) for text in texts]


def _own(vector: Any) -> SparseVector:
    return SparseVector(tuple(vector.indices), tuple(vector.values))
