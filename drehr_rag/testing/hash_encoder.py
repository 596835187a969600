"""An encoder without a model: words are hashed into a small vector. Fast, exact, meaningless."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from drehr_rag.types import Fingerprint, Vectors


class HashEncoder:
    """Bag of hashed words, normalised.

    Args:
        dimension: Length of the vectors.
        max_tokens: Words beyond this are cut, and counted in `truncated`.
        salt: Another salt is another encoder, with another fingerprint.
        query_prompt: Words put before each query, so that it differs from the same passage.
    """

    def __init__(
        self,
        *,
        dimension: int = 16,
        max_tokens: int = 64,
        salt: str = "",
        query_prompt: str = "",
    ) -> None:
        """Make the fingerprint."""
        self.name = f"hash{salt}"
        self.max_tokens = max_tokens
        self.truncated = 0
        self._salt = salt
        self.fingerprint = Fingerprint(
            model=self.name,
            weights=blake2b(salt.encode()).hexdigest(),
            pooling="sum",
            query_prompt=query_prompt,
            passage_prompt="",
            max_tokens=max_tokens,
            dimension=dimension,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words of each text."""
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension)."""
        return self._rows([f"{self.fingerprint.query_prompt}{text}" for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension)."""
        self.truncated += sum(count > self.max_tokens for count in self.count_tokens(texts))
        return self._rows(texts)

    def query_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """One vector a word of each text; of a text without words, one."""
        return [self._rows(text.split()[: self.max_tokens] or [""]) for text in texts]

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """As `query_tokens`."""
        return self.query_tokens(texts)

    def _rows(self, texts: Sequence[str]) -> Vectors:
        rows = [self._vector(text.lower().split()[: self.max_tokens]) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(-1, self.fingerprint.dimension)

    def _vector(self, words: Sequence[str]) -> Vectors:
        vector = np.full(self.fingerprint.dimension, 1e-3)
        for word in words:
            digest = blake2b((self._salt + word).encode(), digest_size=8).digest()
            place = int.from_bytes(digest, "big")
            vector[place % self.fingerprint.dimension] += 1.0
        unit: Vectors = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit
