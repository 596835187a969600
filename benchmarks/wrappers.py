"""Encoders that stand before another one: vectors known beforehand, and a look at the windows."""

from collections.abc import Mapping, Sequence

import numpy as np

from drehr_rag.protocols import Encoder
from drehr_rag.types import Fingerprint, Vectors


class Wrapper:
    """Hands everything on to another encoder."""

    def __init__(self, encoder: Encoder) -> None:
        """Keep it."""
        self.inner = encoder
        self.name: str = encoder.name
        self.fingerprint: Fingerprint = encoder.fingerprint
        self.max_tokens: int = encoder.max_tokens

    @property
    def truncated(self) -> int:
        """The other's."""
        return self.inner.truncated

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The other's."""
        return self.inner.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The other's."""
        return self.inner.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """The other's."""
        return self.inner.encode_passages(texts)


class KnownQueries(Wrapper):
    """Query vectors computed beforehand, so that a search is timed without encoding."""

    def __init__(self, encoder: Encoder, vectors: Mapping[str, Vectors]) -> None:
        """Keep the vectors by query."""
        super().__init__(encoder)
        self._vectors = vectors

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """From the table; what is not in it (an index's probe texts) from the other."""
        if any(text not in self._vectors for text in texts):
            return self.inner.encode_queries(texts)
        return np.stack([self._vectors[text] for text in texts])


class Windows(Wrapper):
    """Encodes nothing; keeps the lists of passages that indexing would have encoded at a time."""

    def __init__(self, encoder: Encoder) -> None:
        """Start with none."""
        super().__init__(encoder)
        self.seen: list[list[str]] = []

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """One and the same vector for each."""
        self.seen.append(list(texts))
        return np.full((len(texts), self.fingerprint.dimension), 1.0, dtype=np.float32)
