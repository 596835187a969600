"""Find a model's folder on this machine or on the hub, and hash its weights."""

import json
import os
import re
from hashlib import file_digest, sha256
from pathlib import Path

import httpx

from drehr_rag.errors import EncoderError, ModelUnavailable

TIMEOUT = 5.0
"""Seconds to wait for the hub before saying that it cannot be had."""

_NOT_VECTORS = {"_name_or_path", "transformers_version", "torch_dtype", "dtype"}
"""Keys of config.json that do not change the vectors."""

_SUFFIXES = (".safetensors", ".bin")

_MODULE = re.compile(r"\d+_")
"""How sentence-transformers begins the name of a module's folder."""


def model_folder(model: str, *, revision: str | None = None) -> Path:
    """The folder of a model: a local one, the hub's cache, or a download.

    Raises:
        ModelUnavailable: Within seconds, when it is in none of these places.
    """
    place = Path(model).expanduser()
    if place.is_dir():
        return place
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelUnavailable(f"there is no model folder {model}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    except HFValidationError:
        raise ModelUnavailable(f"{model!r} is no folder here and cannot be a hub id") from None
    problem = _hub_problem()
    if problem is None:
        try:
            return Path(snapshot_download(model, revision=revision))
        except Exception as error:  # its own, or whatever its transport raises
            problem = type(error).__name__
    raise ModelUnavailable(
        f"model {model} is not on this machine and the hub cannot give it ({problem}). "
        f"Where there is internet, type: hf download {model} --local-dir MODEL ; "
        f"copy the folder MODEL here and give its path instead of the name"
    )


def _hub_problem() -> str | None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        return "HF_HUB_OFFLINE is set"
    try:
        httpx.head(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return f"no connection: {type(error).__name__}"
    return None


def weights_hash(folder: Path) -> str:
    """SHA-256 over the weight files (safetensors, else .bin) and the files that steer them.

    Raises:
        EncoderError: The folder holds no weights.
    """
    files = _weight_files(folder)
    if not files:
        raise EncoderError(f"{folder} holds no weights ({' or '.join(_SUFFIXES)})")
    total = sha256()
    for file in files:
        with file.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.relative_to(folder).as_posix()} {digest}\n".encode())
    for file in (folder / "tokenizer.json", folder / "vocab.txt"):
        if file.exists():
            total.update(f"{file.name} {sha256(file.read_bytes()).hexdigest()}\n".encode())
    total.update(_architecture(folder).encode())
    return total.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """Of the folder and its numbered modules, in each the first kind that it holds.

    `2_Dense` may hold .bin beside safetensors above it; `onnx` and `openvino` are the same again.
    """
    files = [p for p in folder.rglob("*") if p.suffix in _SUFFIXES]
    files = [
        p for p in files if p.parent == folder or _MODULE.match(p.relative_to(folder).parts[0])
    ]
    kind = {p.parent: s for s in reversed(_SUFFIXES) for p in files if p.suffix == s}
    return sorted(p for p in files if p.suffix == kind[p.parent])


def _architecture(folder: Path) -> str:
    file = folder / "config.json"
    if not file.exists():
        return ""
    config = json.loads(file.read_text("utf-8"))
    return json.dumps({k: v for k, v in config.items() if k not in _NOT_VECTORS}, sort_keys=True)
