"""Any cross-encoder of sentence-transformers, in this process: query and passage read together."""

import os
from collections.abc import Sequence
from typing import Any

from drehr_rag._arguments import whole
from drehr_rag._extras import require
from drehr_rag.encoders._complete import missing_parameters
from drehr_rag.encoders._sentence_encoder import (
    BROKEN,
    Precision,
    best_device,
    best_dtype,
    check_device,
)
from drehr_rag.encoders._weights import model_folder
from drehr_rag.errors import BadArgument, RerankerError
from drehr_rag.protocols import Encoder

BATCH = 16
"""Pairs a batch, as for encoders."""


def load(
    model: str | None = None,
    *,
    encoder: Encoder | None = None,
    device: str | None = None,
    precision: Precision = "auto",
    max_tokens: int | None = None,
    batch_size: int = BATCH,
    revision: str | None = None,
) -> "CrossEncoderReranker":
    """Load a folder, or what the hub has under this name.

    Args:
        model: Folder or hub id of a model with one score ("ncbi/MedCPT-Cross-Encoder").
        encoder: Not needed.
        device: `cpu`, `cuda`, …; the best there is by default.
        precision: `auto` is bfloat16 where it is fast.
        max_tokens: Cut a pair there instead of at the model's own limit.
        batch_size: Pairs a batch.
        revision: Branch, tag or commit on the hub.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
        RerankerError: It is no cross-encoder with one score, or only a part of one.
    """
    if not model:
        raise BadArgument("give the folder or hub id of a model: cross-encoder:MODEL")
    library = require("sentence_transformers", extra="local")
    safetensor_error = require("safetensors", extra="local").SafetensorError
    whole(batch_size, "batch_size", 1)
    whole(1 if max_tokens is None else max_tokens, "max_tokens", 1)
    place = device or best_device()
    check_device(place)
    folder = model_folder(model, revision=revision)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        with missing_parameters(folder) as missing:
            loaded = library.CrossEncoder(
                str(folder), device=place, model_kwargs={"dtype": best_dtype(precision, place)}
            )
    except (*BROKEN, safetensor_error) as problem:
        reason = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        raise RerankerError(f"{folder} cannot be loaded as a cross-encoder: {reason}") from problem
    if missing:
        raise RerankerError(
            f"{folder} holds only a part of a cross-encoder: {', '.join(sorted(missing)[:3])} "
            f"({len(missing)} such entries) would be random numbers"
        )
    if loaded.num_labels != 1:
        raise RerankerError(
            f"{folder} gives {loaded.num_labels} numbers a pair, not one score: it sorts texts "
            "into classes"
        )
    if max_tokens is not None:
        loaded.max_seq_length = max_tokens
    return CrossEncoderReranker(f"cross-encoder:{model}", loaded, batch_size=batch_size)


class CrossEncoderReranker:
    """A `CrossEncoder`; pairs too long for it are cut, the passage first.

    Args:
        name: What `load_reranker` takes to load it again.
        model: It.
        batch_size: Pairs a batch.
    """

    def __init__(self, name: str, model: Any, *, batch_size: int = BATCH) -> None:
        """Nothing is run."""
        self.name = name
        self._model = model
        self._batch_size = batch_size

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text, as the model's own activation gives it (mostly from 0 to 1)."""
        if not texts:
            return []
        pairs = [(query, text) for text in texts]
        made = self._model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False)
        return [float(score) for score in made]
