"""Vectors by OpenVINO: the same weights, converted when loaded, on the processor."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drehr_rag._extras import require
from drehr_rag.encoders._probes import ALIKE, TEXTS
from drehr_rag.errors import EncoderError

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""OpenVINO's names; with `auto` it takes bf16 where the processor computes in it."""


def openvino() -> Any:
    """The library, without its telemetry.

    Raises:
        MissingExtra: It is not installed.
    """
    with _no_telemetry():
        return require("openvino", extra="openvino")


STEP = 8
"""Batches are a multiple of it long. OpenVINO makes code for each shape that it meets and keeps it:
were every length its own, memory would go on growing."""


@contextmanager
def _no_telemetry() -> Iterator[None]:
    """`import openvino` reports to Google Analytics unless `openvino_telemetry` cannot be imported.

    A machine that holds clinical notes must not call anybody. A program that imported OpenVINO
    before has decided that for itself.
    """
    name = "openvino_telemetry"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # makes its import fail
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _logs_as_they_were() -> Iterator[None]:
    """The converter silences the root logger, for good if it fails.

    Beside it torch's tracer warns of shapes that may vary, and transformers of attributes that are
    only looked at.
    """
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters, root.handlers
    root.filters, root.handlers = list(filters), list(handlers)
    theirs = require("transformers.utils.logging", extra="local")
    verbosity = theirs.get_verbosity()
    theirs.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        theirs.set_verbosity(verbosity)
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


class OpenVinoBackend:
    """A `SentenceTransformer`, all its modules in one OpenVINO model.

    Batches run at the same time, on as many streams as OpenVINO finds best for the processor.

    Args:
        model: It, in float32. Its tokenizer goes on being used.
        precision: `auto`, `float32`, `bfloat16` or `float16`.
        batch_size: Texts a batch.

    Raises:
        MissingExtra: OpenVINO is not installed.
        EncoderError: OpenVINO cannot run this model, or gives other vectors.
    """

    def __init__(self, model: Any, *, precision: str, batch_size: int) -> None:
        """Convert, compile, and compare with torch on a few texts."""
        library = openvino()
        self._model = model
        self._batch_size = batch_size
        features = model.preprocess(list(TEXTS[:2]), prompt="")
        torch = require("torch", extra="local")
        self._columns = [name for name, value in features.items() if torch.is_tensor(value)]
        try:
            compiled = self._compiled(library, features, precision)
            self._queue = library.AsyncInferQueue(compiled)
            self._queue.set_callback(_keep)
            kind = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
            self._compare()
        except EncoderError:
            raise
        except Exception as problem:  # its converter has errors of many kinds
            raise EncoderError(
                f"OpenVINO cannot run this model ({type(problem).__name__}): use backend='torch'"
            ) from problem
        self.name = f"openvino {kind}"

    def vectors(self, texts: Sequence[str], prompt: str) -> NDArray[Any]:
        """Shape (texts, dimension), any length."""
        out = np.zeros((len(texts), self._model.get_embedding_dimension()), dtype=np.float32)
        for start in range(0, len(texts), self._batch_size):
            rows = slice(start, start + self._batch_size)
            features = self._model.preprocess(list(texts[rows]), prompt=prompt)
            columns = [self._padded(name, features[name].numpy()) for name in self._columns]
            self._queue.start_async(columns, (out, rows))
        self._queue.wait_all()
        return out

    def _padded(self, name: str, column: NDArray[Any]) -> NDArray[Any]:
        """A column of tokens up to a whole number of steps; what is added is masked."""
        length = column.shape[1]
        room = int(self._model.max_seq_length or length) - length
        more = max(0, min(-length % STEP, room))
        fill = (self._model.tokenizer.pad_token_id or 0) if name == "input_ids" else 0
        return np.pad(column, ((0, 0), (0, more)), constant_values=fill) if more else column

    def _compiled(self, library: Any, features: dict[str, Any], precision: str) -> Any:
        if not all(getattr(module, "include_prompt", True) for module in self._model):
            raise EncoderError(
                "this model leaves its prompt out of the pooling, which only backend='torch' can"
            )
        example = tuple(features[name] for name in self._columns)
        with _logs_as_they_were():
            converted = library.convert_model(
                _whole(self._model.eval(), self._columns), example_input=example
            )
        settings = {"PERFORMANCE_HINT": "THROUGHPUT"}
        if precision != "auto":
            settings["INFERENCE_PRECISION_HINT"] = HINTS[precision]
        return library.Core().compile_model(converted, "CPU", settings)

    def _compare(self) -> None:
        """Code that depends on the shape of its input is converted wrongly, without an error.

        So this is another shape than the example's.
        """
        given = self.vectors(TEXTS, "")
        wanted = self._model.encode(list(TEXTS), prompt="", show_progress_bar=False)
        if not np.isfinite(wanted).all():
            return  # broken weights: told, by any backend, when something is encoded
        lengths = np.linalg.norm(given, axis=1) * np.linalg.norm(wanted, axis=1)
        least = float(np.min(np.sum(given * wanted, axis=1) / lengths))
        if not least > ALIKE:
            raise EncoderError(
                f"OpenVINO gives other vectors for this model (cosine {least:.3f}): "
                f"use backend='torch'"
            )


def _keep(request: Any, place: tuple[NDArray[Any], slice]) -> None:
    out, rows = place
    out[rows] = request.get_output_tensor(0).data


def _whole(model: Any, columns: Sequence[str]) -> Any:
    """Token columns in, vectors out: what the converter traces."""
    torch = require("torch", extra="local")

    class Whole(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return self.model(dict(zip(columns, values, strict=True)))["sentence_embedding"]

    return Whole()
