"""Late interaction over the token vectors of the index's own encoder: no other weights.

A passage's score is the mean over the query's tokens of the cosine to the passage's nearest token
(MaxSim of Khattab and Zaharia 2020, ColBERT, divided by the tokens so that it is at most 1).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from drehr_rag._arguments import whole
from drehr_rag.errors import BadArgument
from drehr_rag.protocols import Encoder, TokenEncoder
from drehr_rag.types import Vectors

KEPT = 512
"""Passages whose token vectors are kept, about 60 MB for MiniLM: whoever reads one chart searches
the same passages again."""

VERBS = ("query_tokens", "passage_tokens")

Tokens = NDArray[np.float16]
"""Shape (tokens of a text, dimension): half of the digits, by which no score changes its third."""


def load(
    model: str | None = None, *, encoder: Encoder | None, kept: int = KEPT
) -> "LateInteraction":
    """Late interaction with the index's encoder.

    Raises:
        BadArgument: A model was named, or the encoder tells no token vectors.
    """
    if model:
        raise BadArgument(f"late-interaction has only the index's own encoder, not {model!r}")
    return LateInteraction(encoder, kept=kept)


class LateInteraction:
    """Compares each token of the query with each of the passage.

    Args:
        encoder: One that tells token vectors: any of sentence-transformers in this process.
        kept: Passages whose token vectors are kept, those that were used last.
    """

    name = "late-interaction"

    def __init__(self, encoder: object, *, kept: int = KEPT) -> None:
        """Nothing is run."""
        if not all(hasattr(encoder, verb) for verb in VERBS):  # a wrapped encoder's too
            raise BadArgument(
                "late-interaction needs an encoder that tells its token vectors, which servers and "
                f"{type(encoder).__name__} do not: take cross-encoder:MODEL or served:URL"
            )
        whole(kept, "kept", 0)
        self._encoder = cast(TokenEncoder, encoder)
        self._kept = kept
        self._passages: OrderedDict[str, Tokens] = OrderedDict()
        self._lock = threading.Lock()

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text, from -1 to 1."""
        (asked,) = self._encoder.query_tokens([query])
        passages = self._tokens(texts)
        if not passages:
            return []
        starts = np.cumsum([0, *(len(passage) for passage in passages[:-1])])
        cosines = asked @ np.concatenate(passages).astype(np.float32).T
        best: Vectors = np.maximum.reduceat(cosines, starts, axis=1)
        return [float(score) for score in best.mean(axis=0)]

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Those kept, and the others encoded together."""
        with self._lock:
            known = {text: self._passages[text] for text in texts if text in self._passages}
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            made = self._encoder.passage_tokens(new)
            known |= {text: m.astype(np.float16) for text, m in zip(new, made, strict=True)}
        with self._lock:
            for text in dict.fromkeys(texts):
                self._passages[text] = known[text]
                self._passages.move_to_end(text)
            while len(self._passages) > self._kept:
                self._passages.popitem(last=False)
        return [known[text] for text in texts]
