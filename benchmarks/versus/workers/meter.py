"""Times a sentence-transformers model's `encode` and counts what enters the model itself."""

from collections.abc import Collection, Sequence
from time import perf_counter
from typing import Any


class Meter:
    """Stands in a model's `encode`, so that everybody's encoding is timed at the same place.

    Args:
        model: A `SentenceTransformer`.
        beside: Texts that a library encodes for its own purposes (to learn the dimension, to know
            the model again); they are timed with the rest and counted apart.

    Attributes:
        seconds: Spent in `encode`.
        texts: Passages encoded.
        tokens: Tokens of them that the model read, special tokens included, padding not.
        beside_tokens: Tokens of the texts beside.
    """

    def __init__(self, model: Any, *, beside: Collection[str] = ()) -> None:
        """Take the method's place."""
        self._encode = model.encode
        self._beside = frozenset(beside)
        self._read = 0
        self.reset()
        model[0].register_forward_pre_hook(self._count)
        model.encode = self._timed

    def reset(self) -> None:
        """Forget what was counted, as after a warm-up."""
        self.seconds, self.texts, self.tokens, self.beside_tokens = 0.0, 0, 0, 0

    def facts(self) -> dict[str, Any]:
        """What was counted."""
        return {
            "encoding_seconds": self.seconds,
            "texts": self.texts,
            "tokens": self.tokens,
            "beside_tokens": self.beside_tokens,
        }

    def _count(self, module: Any, arguments: Sequence[Any]) -> None:
        self._read += int(arguments[0]["attention_mask"].sum())

    def _timed(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
        self._read = 0
        started = perf_counter()
        vectors = self._encode(inputs, *arguments, **options)
        self.seconds += perf_counter() - started
        texts = [inputs] if isinstance(inputs, str) else inputs
        if self._beside.issuperset(texts):
            self.beside_tokens += self._read
        else:
            self.texts += len(texts)
            self.tokens += self._read
        return vectors
