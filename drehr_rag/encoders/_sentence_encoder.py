"""A sentence-transformers model behind the two verbs, with a fingerprint and a count of cuts."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from drehr_rag._extras import require
from drehr_rag.encoders._text_encoder import Overflow, TextEncoder
from drehr_rag.encoders._weights import weights_hash
from drehr_rag.errors import EncoderError
from drehr_rag.types import Fingerprint, Vectors

BATCH = 16
"""Texts a batch: the fastest of 16, 32, 64 for MiniLM on 2 cores (docs/measurements.md)."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]


def best_dtype(precision: Precision, device: str) -> Any:
    """bfloat16 where the processor or GPU computes in it, else float32; or what was asked."""
    torch = require("torch", extra="local")
    if precision != "auto":
        return getattr(torch, precision)
    if device == "cpu":
        fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    else:
        fast = device.startswith("cuda") and bool(torch.cuda.is_bf16_supported())
    return torch.bfloat16 if fast else torch.float32


def best_device() -> str:
    """`cuda`, `mps` or `cpu`, the first there is."""
    torch = require("torch", extra="local")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


class SentenceEncoder(TextEncoder):
    """A sentence-transformers model.

    Args:
        name: What `load_encoder` takes to load it again.
        model: A `SentenceTransformer`.
        fingerprint: What decides the vectors.
        batch_size: Texts a batch.
        overflow: What happens to texts that are too long.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        fingerprint: Fingerprint,
        *,
        batch_size: int = BATCH,
        overflow: Overflow = "warn",
    ) -> None:
        """Keep the model; nothing is run."""
        super().__init__(name, fingerprint, overflow=overflow)
        self._model = model
        self._batch_size = batch_size

    @property
    def tokenizer(self) -> Any:
        """The model's own."""
        return self._model.tokenizer

    def _vectors(self, texts: Sequence[str], *, query: bool) -> Vectors:
        prompt = self.fingerprint.query_prompt if query else self.fingerprint.passage_prompt
        vectors: Vectors = self._model.encode(
            list(texts),
            prompt=prompt,
            batch_size=self._batch_size,
            convert_to_numpy=True,
            normalize_embeddings=False,
            show_progress_bar=False,
        ).astype(np.float32)
        return vectors


def sentence_encoder(
    name: str,
    folder: Path,
    *,
    model: str,
    cls: bool = False,
    device: str | None = None,
    precision: Precision = "auto",
    max_tokens: int | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    revision: str | None = None,
    batch_size: int = BATCH,
    overflow: Overflow = "warn",
) -> SentenceEncoder:
    """Load a folder.

    Args:
        name: What `load_encoder` takes to load it again.
        folder: A sentence-transformers folder, or with `cls` any transformers folder.
        model: Its name in the fingerprint.
        cls: Pool by the hidden state of `[CLS]`, whatever the folder says.
        device: `cpu`, `cuda`, …; the best there is by default.
        precision: `auto` is bfloat16 where it is fast.
        max_tokens: Cut texts there instead of at the model's own limit.
        query_prompt: In place of the folder's own.
        passage_prompt: In place of the folder's own.
        revision: Of the hub's repository.
        batch_size: Texts a batch.
        overflow: Texts over the limit are cut and counted (`warn`), encoded in parts (`split`)
            or refused (`error`).

    Raises:
        EncoderError: The folder is no such model.
    """
    library = require("sentence_transformers", extra="local")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    device = device or best_device()
    safetensor_error = require("safetensors", extra="local").SafetensorError
    kwargs = {"dtype": best_dtype(precision, device)}
    try:
        with _quiet():
            if cls:
                loaded = _with_cls(library, folder, device, kwargs, max_tokens)
            else:
                loaded = library.SentenceTransformer(
                    str(folder), device=device, model_kwargs=kwargs
                )
    except (OSError, ValueError, KeyError, RuntimeError, safetensor_error) as problem:
        raise EncoderError(f"{folder} cannot be loaded as a model: {problem}") from problem
    if max_tokens is not None:
        loaded.max_seq_length = max_tokens
    pooling = next((m.pooling_mode for m in loaded if hasattr(m, "pooling_mode")), "own")
    prompts = dict(loaded.prompts or {})
    fingerprint = Fingerprint(
        model=model,
        weights=weights_hash(folder),
        pooling=pooling if isinstance(pooling, str) else "+".join(pooling),
        query_prompt=prompts.get("query", "") if query_prompt is None else query_prompt,
        passage_prompt=_passage_prompt(prompts) if passage_prompt is None else passage_prompt,
        max_tokens=int(loaded.max_seq_length or loaded.tokenizer.model_max_length),
        dimension=int(loaded.get_embedding_dimension()),
        revision=revision,
    )
    return SentenceEncoder(name, loaded, fingerprint, batch_size=batch_size, overflow=overflow)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for reading a file of weights."""
    logging = require("transformers.utils.logging", extra="local")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _passage_prompt(prompts: dict[str, str]) -> str:
    return prompts.get("document") or prompts.get("passage") or ""


def _with_cls(
    library: Any, folder: Path, device: str, kwargs: dict[str, Any], max_tokens: int | None
) -> Any:
    parts = require("sentence_transformers.sentence_transformer.modules", extra="local")
    body = parts.Transformer(str(folder), max_seq_length=max_tokens, model_kwargs=kwargs)
    pooling = parts.Pooling(body.get_embedding_dimension(), pooling_mode="cls")
    return library.SentenceTransformer(modules=[body, pooling], device=device)
