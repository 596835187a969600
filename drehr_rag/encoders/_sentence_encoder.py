"""A sentence-transformers model behind the two verbs, with a fingerprint and a count of cuts."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np

from drehr_rag._extras import require
from drehr_rag.encoders._complete import missing_parameters, refuse_incomplete
from drehr_rag.encoders._text_encoder import Overflow, TextEncoder
from drehr_rag.encoders._weights import weights_hash
from drehr_rag.errors import EncoderError
from drehr_rag.types import Fingerprint, Vectors

BATCH = 16
"""Texts a batch: the fastest of 16, 32, 64 for MiniLM on 2 cores (docs/measurements.md)."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError, EOFError, UnpicklingError)
"""What the libraries raise at files that are missing, cut off or not what they should be."""

Parts = Callable[[Path, dict[str, Any]], list[Any]]
"""From a folder and the keyword arguments for its model, the modules of a `SentenceTransformer`."""


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
    parts: Parts | None = None,
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
        parts: Makes the modules, whatever the folder says.
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
        EncoderError: The folder is no such model, or only a part of it.
    """
    library = require("sentence_transformers", extra="local")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    device = device or best_device()
    safetensor_error = require("safetensors", extra="local").SafetensorError
    kwargs = {"dtype": best_dtype(precision, device)}
    make = _cls_parts if cls else parts
    try:
        with missing_parameters(folder) as missing:
            if make:
                loaded = library.SentenceTransformer(modules=make(folder, kwargs), device=device)
            else:
                loaded = library.SentenceTransformer(
                    str(folder), device=device, model_kwargs=kwargs
                )
    except (*_BROKEN, safetensor_error) as problem:
        reason = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        raise EncoderError(f"{folder} cannot be loaded as a model: {reason}") from problem
    refuse_incomplete(loaded, missing, folder)
    if max_tokens is not None:
        loaded.max_seq_length = max_tokens
    prompts = dict(loaded.prompts or {})
    fingerprint = Fingerprint(
        model=model,
        weights=weights_hash(folder),
        pooling=_pooling(loaded),
        query_prompt=prompts.get("query", "") if query_prompt is None else query_prompt,
        passage_prompt=_passage_prompt(prompts) if passage_prompt is None else passage_prompt,
        max_tokens=int(loaded.max_seq_length or loaded.tokenizer.model_max_length),
        dimension=int(loaded.get_embedding_dimension()),
        revision=revision,
    )
    return SentenceEncoder(name, loaded, fingerprint, batch_size=batch_size, overflow=overflow)


def _passage_prompt(prompts: dict[str, str]) -> str:
    return prompts.get("document") or prompts.get("passage") or ""


def _pooling(loaded: Any) -> str:
    for module in loaded:
        if hasattr(module, "pooling_mode"):
            modes = module.pooling_mode
            name = modes if isinstance(modes, str) else "+".join(modes)
            return name if module.include_prompt else f"{name} without the prompt"
    return "own"


def _cls_parts(folder: Path, kwargs: dict[str, Any]) -> list[Any]:
    modules = require("sentence_transformers.sentence_transformer.modules", extra="local")
    body = modules.Transformer(str(folder), model_kwargs=kwargs)
    return [body, modules.Pooling(body.get_embedding_dimension(), pooling_mode="cls")]
