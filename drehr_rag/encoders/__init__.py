"""Text to vectors: one module an encoder, each with `load(model=None, **options)`."""

import re
from pathlib import Path
from typing import Any

from drehr_rag._registry import find, names
from drehr_rag.errors import UnknownName
from drehr_rag.protocols import Encoder

__all__ = ["load_encoder"]


def load_encoder(name: str, **options: Any) -> Encoder:
    """Load an encoder.

    Args:
        name: A plug-in's name (`offline`, `dr-ehr-small`); one with a place to load it from
            (`dr-ehr-small:/models/DR.EHR-small`); or the folder or hub id of any
            sentence-transformers model.
        options: The encoder's own, e.g. `device="cuda"`.

    Raises:
        ModelUnavailable: The model is not on this machine and cannot be fetched.
        MissingExtra: The packages that run it are not installed.
        UnknownName: There is no such encoder, or it has no such option.
    """
    known = names(__name__)
    plugin, _, model = name.partition(":")
    if model and not model.startswith("~") and Path(model).is_dir():
        model = str(Path(model).resolve())  # a store remembers it, wherever it is opened from
    if plugin.replace("_", "-") in known:
        return _load(plugin, model or None, options)
    if Path(name).is_dir() or "/" in name:
        place = str(Path(name).resolve()) if Path(name).is_dir() else name
        return _load("sentence-transformer", place, options)
    raise UnknownName(
        f"no encoder is called {name!r}: there are {', '.join(known)}; or give the folder or "
        f"hub id (owner/name) of a sentence-transformers model"
    )


def _load(plugin: str, model: str | None, options: dict[str, Any]) -> Encoder:
    try:
        encoder: Encoder = find(__name__, plugin).load(model, **options)
    except TypeError as problem:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(problem))
        if not unknown or unknown[1] not in options:
            raise
        raise UnknownName(f"the encoder {plugin} has no option {unknown[1]!r}") from problem
    return encoder
