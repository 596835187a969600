"""An encoder with its queries known beforehand, and one that tells how long they took."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from drehr_rag.protocols import Encoder
from drehr_rag.types import Vectors


class KnownQueries:
    """An encoder that has encoded these queries already, each once."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        """Encode them."""
        self._encoder = encoder
        unique = list(dict.fromkeys(texts))
        self._vectors = dict(zip(unique, encoder.encode_queries(unique), strict=True))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Their vectors."""
        return np.stack([self._vectors[text] for text in texts])

    def __getattr__(self, name: str) -> Any:
        """All else is the encoder's."""
        return getattr(self._encoder, name)


class Clocked:
    """An encoder, and the seconds that it took to encode queries.

    Attributes:
        seconds: Of all calls so far.
    """

    def __init__(self, encoder: Encoder) -> None:
        """Nothing is encoded."""
        self._encoder = encoder
        self.seconds = 0.0

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The encoder's own."""
        started = perf_counter()
        vectors = self._encoder.encode_queries(texts)
        self.seconds += perf_counter() - started
        return vectors

    def __getattr__(self, name: str) -> Any:
        """All else is the encoder's."""
        return getattr(self._encoder, name)
