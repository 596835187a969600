"""A sentence-transformers model behind the two verbs, with a fingerprint and a count of cuts."""

import logging
import os
import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, get_args

import numpy as np

from drehr_rag._arguments import whole
from drehr_rag._extras import require
from drehr_rag.encoders._backends import Backend, BackendName, backend_of, check_backend
from drehr_rag.encoders._complete import missing_parameters, refuse_incomplete
from drehr_rag.encoders._text_encoder import Overflow, TextEncoder
from drehr_rag.encoders._token_vectors import token_vectors
from drehr_rag.encoders._torch_backend import TorchBackend
from drehr_rag.encoders._weights import weights_hash
from drehr_rag.errors import BadArgument, EncoderError, UnknownName
from drehr_rag.types import Fingerprint, Vectors

logger = logging.getLogger(__name__)

BATCH = 16
"""Texts a batch: the fastest of 16, 32, 64 for MiniLM on 2 cores (docs/measurements.md)."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]

BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError, EOFError, UnpicklingError)
"""What the libraries raise at files that are missing, cut off or not what they should be."""

Parts = Callable[[Path, dict[str, Any]], list[Any]]
"""From a folder and the keyword arguments for its model, the modules of a `SentenceTransformer`."""


def best_dtype(precision: Precision, device: str) -> Any:
    """bfloat16 where the processor or GPU computes in it, else float32; or what was asked."""
    torch = require("torch", extra="local")
    if precision not in get_args(Precision):
        raise UnknownName(f"precision is {', '.join(get_args(Precision))}, not {precision!r}")
    if precision != "auto":
        return getattr(torch, precision)
    if device == "cpu":
        fast = _computes_bfloat16(torch)
    else:
        fast = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def _computes_bfloat16(torch: Any) -> bool:
    """Whether the processor multiplies it; what torch calls supported may be emulated on x86."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def best_device() -> str:
    """`cuda`, `mps` or `cpu`, the first there is."""
    torch = require("torch", extra="local")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_device(name: str) -> None:
    """Refuse a device that torch does not have here, before a model is read and blamed.

    Raises:
        BadArgument: There is no such device.
    """
    torch = require("torch", extra="local")
    try:
        device = torch.device(name)
        there = torch.get_device_module(device).device_count()
    except (RuntimeError, TypeError):  # no device at all, or one that holds no numbers
        there = 0
    if not there or (device.index or 0) >= there:
        raise BadArgument(
            f"torch {torch.__version__} has no device {name!r} here: leave device out for "
            f"{best_device()!r}"
        )


class SentenceEncoder(TextEncoder):
    """A sentence-transformers model.

    Args:
        name: What `load_encoder` takes to load it again.
        model: A `SentenceTransformer`.
        fingerprint: What decides the vectors.
        batch_size: Texts a batch.
        overflow: What happens to texts that are too long.
        backend: What computes; torch, where the model is, by default.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        fingerprint: Fingerprint,
        *,
        batch_size: int = BATCH,
        overflow: Overflow = "warn",
        backend: Backend | None = None,
    ) -> None:
        """Keep the model; nothing is run."""
        super().__init__(name, fingerprint, overflow=overflow)
        self._model = model
        self._batch_size = batch_size
        self._backend = backend or TorchBackend(
            model, batch_size=batch_size, devices=[str(model.device)]
        )

    @property
    def backend(self) -> str:
        """What computes now, e.g. `torch bfloat16 on cpu`."""
        return self._backend.name

    @property
    def tokenizer(self) -> Any:
        """The model's own."""
        return self._model.tokenizer

    def _vectors(self, texts: Sequence[str], *, query: bool) -> Vectors:
        return self._backend.vectors(texts, self._prompt(query=query)).astype(np.float32)

    def _prompt(self, *, query: bool) -> str:
        return self.fingerprint.query_prompt if query else self.fingerprint.passage_prompt

    def query_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """A vector of length 1 for each token of each query, shape (tokens, dimension)."""
        return self._token_vectors(texts, query=True)

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """A vector of length 1 for each token of each passage, shape (tokens, dimension)."""
        return self._token_vectors(texts, query=False)

    def _token_vectors(self, texts: Sequence[str], *, query: bool) -> list[Vectors]:
        prompt, size = self._prompt(query=query), self._batch_size
        with self._lock:
            return token_vectors(self._model, texts, prompt=prompt, batch_size=size)


def sentence_encoder(
    name: str,
    folder: Path,
    *,
    model: str,
    cls: bool = False,
    parts: Parts | None = None,
    device: str | Sequence[str] | None = None,
    backend: BackendName = "auto",
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
        device: `cpu`, `cuda`, …; the best there is by default. Several, such as
            `["cuda:0", "cuda:1"]` or `["cpu", "cpu"]`, are as many processes.
        backend: `torch`; `openvino` (on the processor; its telemetry is kept from running); `auto`
            is torch until enough was encoded for a comparison to pay, then the faster of the two.
        precision: `auto` is bfloat16 where it is fast.
        max_tokens: Cut texts there instead of at the model's own limit.
        query_prompt: In place of the folder's own.
        passage_prompt: In place of the folder's own.
        revision: Of the hub's repository.
        batch_size: Texts a batch.
        overflow: Texts over the limit are cut and counted (`warn`), encoded in parts (`split`)
            or refused (`error`).

    Raises:
        BadArgument: There is no such device or precision here, or a number cannot be meant.
        EncoderError: The folder is no such model or only a part of it, or OpenVINO cannot run it.
        MissingExtra: `openvino` is not installed.
    """
    devices = _devices(device, backend)
    check_backend(backend, devices)
    for place in devices:
        check_device(place)
    best_dtype(precision, devices[0])
    whole(batch_size, "batch_size", 1)
    whole(1 if max_tokens is None else max_tokens, "max_tokens", 1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

    make = _cls_parts if cls else parts

    def read(kind: Precision) -> Any:
        dtype = best_dtype(kind, devices[0])
        return _read(folder, make, device=devices[0], dtype=dtype, max_tokens=max_tokens)

    loaded = read("float32" if backend == "openvino" else precision)
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
    computing = backend_of(
        backend,
        loaded,
        devices=devices,
        batch_size=batch_size,
        precision=precision,
        exact=partial(read, "float32"),
    )
    logger.info("%s: %s", name, computing.name)
    return SentenceEncoder(
        name,
        loaded,
        fingerprint,
        batch_size=batch_size,
        overflow=overflow,
        backend=computing,
    )


def _devices(device: str | Sequence[str] | None, backend: BackendName) -> list[str]:
    if device is None:
        return ["cpu" if backend == "openvino" else best_device()]
    devices = [device] if isinstance(device, str) or not isinstance(device, Sequence) else [*device]
    if not devices or not all(isinstance(name, str) and name for name in devices):
        raise BadArgument("device is a device, such as cpu or cuda:0, or several")
    return devices


def _read(
    folder: Path, make: Parts | None, *, device: str, dtype: Any, max_tokens: int | None
) -> Any:
    library = require("sentence_transformers", extra="local")
    safetensor_error = require("safetensors", extra="local").SafetensorError
    kwargs = {"dtype": dtype}
    try:
        with missing_parameters(folder) as missing:
            if make:
                loaded = library.SentenceTransformer(modules=make(folder, kwargs), device=device)
            else:
                loaded = library.SentenceTransformer(
                    str(folder), device=device, model_kwargs=kwargs
                )
    except (*BROKEN, safetensor_error) as problem:
        reason = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        raise EncoderError(f"{folder} cannot be loaded as a model: {reason}") from problem
    refuse_incomplete(loaded, missing, folder)
    longest = _positions(loaded)
    if max_tokens is not None and longest and max_tokens > longest:
        raise BadArgument(f"max_tokens={max_tokens} is over the {longest} that {folder} reads")
    if max_tokens is not None:
        loaded.max_seq_length = max_tokens
    elif longest and (loaded.max_seq_length or 0) > longest:
        loaded.max_seq_length = longest
    return loaded


def _positions(loaded: Any) -> int | None:
    """How many tokens there are positions for; RoBERTa counts its own from behind the padding's."""
    config = getattr(loaded[0], "config", None)
    positions: int | None = getattr(config, "max_position_embeddings", None)
    for name, module in loaded[0].named_modules():
        padding = getattr(module, "padding_idx", None)
        if positions and name.endswith("position_embeddings") and padding is not None:
            return int(positions - padding - 1)
    return positions


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
