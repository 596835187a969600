"""What a model's folder says of it: how long a text it reads, and how much memory it takes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drehr_rag.errors import BadArgument

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
_HUB = "~/.cache/huggingface"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A language model on this machine.

    Attributes:
        place: The folder.
        name: Under which it is served.
        weights: Bytes of its files.
        context: Tokens it reads at most; None if its config.json does not say.
        heads: Attention heads: the processors that share it must divide them; None if unknown.
        cache: Bytes of memory that each token of a text takes; None if unknown.
        dtype: In which its weights are kept, e.g. `bfloat16`; None if unknown.
        quantised: Whether they are kept in fewer bits.
    """

    place: Path
    name: str
    weights: int
    context: int | None = None
    heads: int | None = None
    cache: int | None = None
    dtype: str | None = None
    quantised: bool = False


def model_folder(model: str) -> ModelFolder:
    """The model of a folder, or of the hub's cache on this machine; nothing is downloaded.

    Args:
        model: A folder, or a name as `org/model`.

    Raises:
        BadArgument: It is not there, or its config.json cannot be read.
    """
    place = Path(model).expanduser()
    if place.is_dir():
        return _read(place, place.resolve().name)
    if cached := _cached(model):
        return _read(cached, model)
    raise BadArgument(
        f"there is no model {model}: name a folder with config.json and weights, or a model that "
        f"was downloaded before (hf download {model})"
    )


def _cached(model: str) -> Path | None:
    home = Path(os.environ.get("HF_HOME", _HUB)).expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    kept = hub / f"models--{model.replace('/', '--')}"
    try:
        revision = (kept / "refs" / "main").read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    place = kept / "snapshots" / revision
    return place if (place / "config.json").is_file() else None


def _read(place: Path, name: str) -> ModelFolder:
    try:
        config = json.loads((place / "config.json").read_text("utf-8"))
        text = {**config, **(config.get("text_config") or {})}  # of models that also see
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise BadArgument(
            f"the model {place} has no config.json that can be read ({type(problem).__name__}): is "
            "it a model's folder, as transformers saves it?"
        ) from None
    weights = _weights(place)
    if not weights:
        raise BadArgument(f"the model {place} has no weights ({', '.join(_WEIGHTS)}): is it whole?")
    return ModelFolder(
        place,
        name,
        weights,
        context=_whole(text, "max_position_embeddings"),
        heads=_whole(text, "num_attention_heads"),
        cache=_cache(text),
        dtype=text.get("dtype") or text.get("torch_dtype"),
        quantised=bool(text.get("quantization_config")),
    )


def _weights(place: Path) -> int:
    """Of one kind: a folder may hold the same weights twice."""
    sizes = (sum(file.stat().st_size for file in place.glob(kind)) for kind in _WEIGHTS)
    return next((size for size in sizes if size), 0)


def _whole(config: Mapping[str, Any], name: str) -> int | None:
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _cache(config: Mapping[str, Any]) -> int | None:
    """Keys and values of each layer, two bytes a number."""
    layers, heads = _whole(config, "num_hidden_layers"), _whole(config, "num_attention_heads")
    hidden = _whole(config, "hidden_size")
    if not layers or not heads or not hidden:
        return None
    kept = _whole(config, "num_key_value_heads") or heads
    size = _whole(config, "head_dim") or hidden // heads
    return 2 * 2 * layers * kept * size
