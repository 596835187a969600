"""A query's vector with a share of its other names: expansion on the dense side."""

from collections.abc import Sequence

import numpy as np

from drehr_rag.errors import BadArgument
from drehr_rag.protocols import Encoder
from drehr_rag.retrievers._expansion import Expander
from drehr_rag.types import Vectors

NAMES = 4
"""Other names of a query that go into its vector, the weightiest first."""

WEIGHT = 0.5
"""Least weight of such a name: a rare sense of an abbreviation has less."""


class NamedVectors:
    """Encodes queries with the names that a graph knows for them; each name costs its encoding."""

    def __init__(self, encoder: Encoder, expander: Expander, share: float) -> None:
        """Keep the parts.

        Args:
            encoder: Of queries.
            expander: Tells the names.
            share: What the names count in a vector, from 0 to 1.

        Raises:
            BadArgument: `share` is not from 0 to 1.
        """
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BadArgument(f"dense_names is from 0 (the query alone) to 1, not {share!r}")
        self._encoder, self._expander, self._share = encoder, expander, share

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, [texts, dimension]: the query's own, moved to the mean of its names'."""
        names = [self._names(text) for text in texts]
        flat = list(dict.fromkeys(name for some in names for name in some))
        vectors = _units(self._encoder.encode_queries([*texts, *flat]))
        own, of_name = vectors[: len(texts)], dict(zip(flat, vectors[len(texts) :], strict=True))
        for at, some in enumerate(names):
            if some:
                mean = np.mean([of_name[name] for name in some], axis=0)
                own[at] += self._share * (mean - own[at])
        return _units(own)

    def _names(self, text: str) -> list[str]:
        terms = self._expander.expand(text)
        same = [term.text for term in terms if term.kind == "synonym" and term.weight >= WEIGHT]
        return same[:NAMES]


def _units(vectors: Vectors) -> Vectors:
    wide = np.array(vectors, np.float32)
    norms = np.linalg.norm(wide, axis=-1, keepdims=True)
    np.divide(wide, norms, where=norms > 0, out=wide)
    return wide
