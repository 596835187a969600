"""What computes a model's vectors: torch, or OpenVINO where that is faster."""

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from time import perf_counter
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from drehr_rag.encoders._openvino_backend import OpenVinoBackend, openvino
from drehr_rag.encoders._torch_backend import TorchBackend
from drehr_rag.errors import BadArgument, EncoderError, UnknownName

logger = logging.getLogger(__name__)

BackendName = Literal["auto", "torch", "openvino"]

PATIENCE = 1_000
"""Texts that torch encodes before OpenVINO is tried: loading and converting takes as long as about
300 chunks of MiniLM, so a search never waits for it, and what indexes thousands soon gains."""

LEAST = 128
"""Texts that a call must bring for a comparison: a quarter of them is two batches."""


class Backend(Protocol):
    """Computes vectors; its name says how."""

    @property
    def name(self) -> str:
        """For people, e.g. `torch bfloat16 on cpu`."""
        ...

    def vectors(self, texts: Sequence[str], prompt: str) -> NDArray[Any]:
        """Shape (texts, dimension), any length; the prompt goes before each text.

        Texts that stand together make a batch: the caller puts those of like length there.
        """
        ...


def check_backend(name: str, devices: Sequence[str]) -> None:
    """Refuse what cannot be, before a model is read.

    Raises:
        UnknownName: There is no such backend.
        BadArgument: OpenVINO was asked for on a GPU or in several processes.
        MissingExtra: OpenVINO was asked for and is not installed.
    """
    if name not in get_args(BackendName):
        raise UnknownName(f"backend is auto, torch or openvino, not {name!r}")
    if name == "openvino":
        if list(devices) != ["cpu"]:
            raise BadArgument(
                f"backend 'openvino' uses every core in this process: leave out device, or use "
                f"backend='torch' for {', '.join(devices)}"
            )
        openvino()


def backend_of(
    name: BackendName,
    model: Any,
    *,
    devices: Sequence[str],
    batch_size: int,
    precision: str,
    exact: Callable[[], Any],
) -> Backend:
    """The backend that was asked for; `auto` may change from torch to OpenVINO as it works.

    Args:
        name: As checked by `check_backend`.
        model: A `SentenceTransformer`, for `openvino` in float32.
        devices: Where it runs; several with `torch` are several processes.
        batch_size: Texts a batch.
        precision: What was asked for.
        exact: Loads the model in float32.
    """

    def converted(whole: Any) -> Backend:
        return OpenVinoBackend(whole, precision=precision, batch_size=batch_size)

    if name == "openvino":
        return converted(model)
    torch = TorchBackend(model, devices=devices, batch_size=batch_size)
    if name == "torch" or list(devices) != ["cpu"]:
        return torch
    if find_spec("openvino") is None:
        logger.info("openvino may be faster on this processor: pip install 'drehr-rag[openvino]'")
        return torch
    return FasterBackend(torch, lambda: converted(exact()))


class FasterBackend:
    """Starts with one backend; when there is much to do, measures another and keeps the faster.

    The measurement costs nothing but making the other: both work on texts that have to be encoded
    anyway, of the same lengths where the texts come in the order of their lengths.

    Args:
        first: What works until then.
        other: Makes the other.
        patience: Texts before the other is made.
    """

    def __init__(
        self, first: Backend, other: Callable[[], Backend], *, patience: int = PATIENCE
    ) -> None:
        """Nothing is run."""
        self._chosen = first
        self._other: Callable[[], Backend] | None = other
        self._patience = patience
        self._seen = 0

    @property
    def name(self) -> str:
        """Of what works now."""
        return self._chosen.name

    def vectors(self, texts: Sequence[str], prompt: str) -> NDArray[Any]:
        """Shape (texts, dimension), any length."""
        make, self._seen = self._other, self._seen + len(texts)
        if make is None or self._seen <= self._patience or len(texts) < LEAST:
            return self._chosen.vectors(texts, prompt)
        self._other = None
        try:
            other = make()
        except (EncoderError, ImportError) as problem:  # also one that is half installed
            logger.info("%s stays: %s", self.name, problem)
            return self._chosen.vectors(texts, prompt)
        return self._compared(other, texts, prompt)

    def _compared(self, other: Backend, texts: Sequence[str], prompt: str) -> NDArray[Any]:
        first = self._chosen
        out: list[Any] = [None] * len(texts)
        rates = {first.name: 0.0, other.name: 0.0}
        for lane, backend in enumerate((first, other, other, first)):
            rows = range(lane, len(texts), 4)
            started = perf_counter()
            made = backend.vectors([texts[i] for i in rows], prompt)
            rate = len(rows) / (perf_counter() - started)
            rates[backend.name] = max(rates[backend.name], rate)  # the less disturbed of two
            for row, vector in zip(rows, made, strict=True):
                out[row] = vector
        self._chosen = max(first, other, key=lambda backend: rates[backend.name])
        told = ", ".join(f"{name} {rate:.0f} texts/s" for name, rate in rates.items())
        logger.info("%s from here on: %s", self.name, told)
        return np.array(out)
