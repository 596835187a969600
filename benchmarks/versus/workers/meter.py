"""Times a library's call to its model and counts what the model reads."""

from collections.abc import Collection, Sequence
from time import perf_counter, process_time
from typing import Any

from sentence_transformers import SentenceTransformer


class Stopwatch:
    """Stands in a method of an object and times it.

    Attributes:
        seconds: Spent in the method.
        cpu_seconds: Of all this process's threads meanwhile.
    """

    def __init__(self, owner: Any, method: str) -> None:
        """Take the method's place."""
        self._work = getattr(owner, method)
        self.seconds, self.cpu_seconds = 0.0, 0.0
        setattr(owner, method, self._timed)

    def _timed(self, *arguments: Any, **options: Any) -> Any:
        started, cpu = perf_counter(), process_time()
        try:
            return self._work(*arguments, **options)
        finally:
            self.seconds += perf_counter() - started
            self.cpu_seconds += process_time() - cpu


class Meter(Stopwatch):
    """Also stands where every sentence-transformers model tokenises its batches.

    Args:
        owner: The object whose method turns texts into vectors.
        method: Its name; the texts are the first argument.
        beside: Texts that a library encodes for its own purposes (to learn the dimension, to know
            the model again); they are timed with the rest and counted apart.

    Attributes:
        texts: Passages that the model read.
        tokens: Tokens of them, special tokens included, padding not.
        beside_tokens: Tokens of the texts beside.
    """

    def __init__(self, owner: Any, method: str, *, beside: Collection[str] = ()) -> None:
        """Take the methods' places."""
        super().__init__(owner, method)
        self._preprocess = SentenceTransformer.preprocess
        self._beside = frozenset(beside)
        self.texts, self.tokens, self.beside_tokens = 0, 0, 0
        meter = self

        def preprocess(model: Any, inputs: Sequence[str], *arguments: Any, **options: Any) -> Any:
            features = meter._preprocess(model, inputs, *arguments, **options)
            meter._count(inputs, int(features["attention_mask"].sum()))
            return features

        SentenceTransformer.preprocess = preprocess  # the class's: a library may load a second one

    def facts(self) -> dict[str, Any]:
        """What was counted."""
        return {
            "encoding_seconds": self.seconds,
            "encoding_cpu_seconds": self.cpu_seconds,
            "texts": self.texts,
            "tokens": self.tokens,
            "beside_tokens": self.beside_tokens,
        }

    def _count(self, inputs: Sequence[str], tokens: int) -> None:
        if self._beside.issuperset(inputs):
            self.beside_tokens += tokens
        else:
            self.texts += len(inputs)
            self.tokens += tokens
