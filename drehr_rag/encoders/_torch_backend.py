"""Vectors by torch: in this process, or in several, one on each device."""

import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drehr_rag.errors import EncoderError

ALONE = 64
"""Up to so many texts a process the first device encodes alone: a query should not wait for
processes to start."""


class TorchBackend:
    """A `SentenceTransformer` as it is.

    Args:
        model: It.
        batch_size: Texts a batch.
        devices: Where it runs: with several, in a process for each, started when there is first
            enough to do and kept.
    """

    def __init__(self, model: Any, *, batch_size: int, devices: Sequence[str]) -> None:
        """Nothing is run."""
        self.name = f"torch {str(model.dtype).removeprefix('torch.')} on {', '.join(devices)}"
        self._model = model
        self._batch_size = batch_size
        self._devices = list(devices)
        self._pool: Any = None

    def vectors(self, texts: Sequence[str], prompt: str) -> NDArray[Any]:
        """Shape (texts, dimension), any length.

        Raises:
            EncoderError: A process could not be started, or died.
        """
        if len(self._devices) == 1 or len(texts) <= ALONE * len(self._devices):
            return self._batches(texts, prompt)
        try:
            self._pool = self._pool or self._started()
            return self._encode(texts, prompt, pool=self._pool)
        except (RuntimeError, EOFError, OSError) as problem:
            self._stop()
            said = str(problem).partition(". ")[0]  # what follows is advice on the pool
            raise EncoderError(
                f"encoding in {len(self._devices)} processes failed: {said} (a script that starts "
                f"processes needs: if __name__ == '__main__')"
            ) from problem

    def _batches(self, texts: Sequence[str], prompt: str) -> NDArray[Any]:
        """One call a batch: given all texts, the library would sort them by characters."""
        starts = range(0, len(texts), self._batch_size)
        batches = [texts[start : start + self._batch_size] for start in starts]
        device = self._devices[0]
        return np.concatenate([self._encode(some, prompt, device=device) for some in batches])

    def _encode(self, texts: Sequence[str], prompt: str, **where: Any) -> NDArray[Any]:
        vectors: NDArray[Any] = self._model.encode(
            list(texts),
            prompt=prompt,
            batch_size=self._batch_size,
            convert_to_numpy=True,
            normalize_embeddings=False,
            show_progress_bar=False,
            **where,
        )
        return vectors

    def _started(self) -> Any:
        share = max(1, (os.cpu_count() or 1) // len(self._devices))
        with _environment("OMP_NUM_THREADS", str(share)):  # or each would take every core
            pool = self._model.start_multi_process_pool(self._devices)
        self._ending = weakref.finalize(self, self._model.stop_multi_process_pool, pool)
        return pool

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool = None
            self._ending()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """What processes that are started meanwhile inherit; a value that is set stays."""
    given = name in os.environ
    os.environ.setdefault(name, value)
    try:
        yield
    finally:
        if not given:
            del os.environ[name]
