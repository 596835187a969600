"""Any LangChain `Embeddings` as an encoder of this package."""

import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from langchain_core.embeddings import Embeddings

from drehr_rag.errors import EncoderError
from drehr_rag.integrations.langchain.embeddings import DrEhrEmbeddings
from drehr_rag.protocols import Encoder
from drehr_rag.types import SERVED, Fingerprint, Vectors

_TOKEN = re.compile(r"\w+|[^\w\s]")

NO_LIMIT = 10**6
"""LangChain's embeddings do not tell how much they read, nor whether they cut."""


def encoder_of(embeddings: Embeddings) -> Encoder:
    """The encoder within our own embeddings; others are wrapped."""
    if isinstance(embeddings, DrEhrEmbeddings):
        return embeddings.encoder
    return ForeignEncoder(embeddings)


def embeddings_of(encoder: Encoder) -> Embeddings:
    """The other way round."""
    if isinstance(encoder, ForeignEncoder):
        return encoder.embeddings
    return DrEhrEmbeddings.of(encoder)


class ForeignEncoder:
    """Embeddings of which nothing is known but their vectors, by which an index knows them again.

    Tokens are estimated as words and signs; nothing tells when a text is cut.
    """

    max_tokens = NO_LIMIT
    truncated = 0

    def __init__(self, embeddings: Embeddings) -> None:
        """Nothing is run."""
        self.embeddings = embeddings
        self.name = f"langchain:{type(embeddings).__name__}"

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Its dimension; one text is encoded to learn it."""
        return Fingerprint(
            model=self.name,
            weights=SERVED,
            pooling=SERVED,
            query_prompt="",
            passage_prompt="",
            max_tokens=NO_LIMIT,
            dimension=len(self.embeddings.embed_query("dimension")),
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words and signs."""
        return [len(_TOKEN.findall(text)) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension), each of length 1."""
        return self._unit([self.embeddings.embed_query(text) for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension), each of length 1."""
        return self._unit(self.embeddings.embed_documents(list(texts)))

    def _unit(self, rows: Sequence[Sequence[float]]) -> Vectors:
        try:
            vectors = np.array(rows, dtype=np.float64).reshape(-1, self.fingerprint.dimension)
        except ValueError:
            raise EncoderError(f"{self.name} gave vectors of different lengths") from None
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise EncoderError(f"{self.name} gave vectors that are not finite or are zero")
        unit: Vectors = (vectors / lengths).astype(np.float32)
        return unit
