"""Text to vectors: one module an encoder, each with `load(model=None, **options)`."""

import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drehr_rag._registry import find, names
from drehr_rag.errors import UnknownName
from drehr_rag.protocols import Encoder

__all__ = ["load_encoder", "options_of", "same_encoder"]


def load_encoder(name: str | Path, **options: Any) -> Encoder:
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
    plugin, model = _parts(str(name))
    try:
        encoder: Encoder = find(__name__, plugin).load(model, **options)
    except TypeError as problem:
        wrong = re.search(
            r"(?:unexpected|multiple values for) keyword argument '(\w+)'", str(problem)
        )
        if not wrong or wrong[1] not in options:
            raise
        state = "fixes" if "multiple" in str(problem) else "has no option"
        raise UnknownName(f"the encoder {plugin} {state} {wrong[1]!r}") from problem
    made = asdict(encoder.fingerprint)
    decisive = {n: made[n] for n, value in options.items() if n in made and made[n] == value}
    with suppress(AttributeError):  # a third party's may have no room for it
        encoder.loaded_with = decisive  # type: ignore[attr-defined]
    return encoder


def options_of(encoder: Encoder) -> dict[str, Any]:
    """The options that it was loaded with and that decide its vectors, for loading it again.

    They are those that its fingerprint repeats: never a key, a device or a timeout.
    """
    return dict(getattr(encoder, "loaded_with", {}))


def same_encoder(one: str, other: str) -> bool:
    """Whether two names mean the same plug-in and the same place to load it from."""
    try:
        return _parts(one) == _parts(other)
    except UnknownName:
        return False


def _parts(name: str) -> tuple[str, str | None]:
    known = names(__name__)
    plugin, _, model = name.partition(":")
    if model and not model.startswith("~") and Path(model).is_dir():
        model = str(Path(model).resolve())  # a store remembers it, wherever it is opened from
    if plugin.replace("_", "-") in known:
        return plugin.replace("_", "-"), model or None
    if "://" in name:  # it may hold a password, so it is not repeated
        raise UnknownName(
            "an encoder on a server is named remote:https://HOST/v1?tokenizer=FOLDER, without a "
            "name or password in the address"
        )
    if Path(name).is_dir() or "/" in name:
        place = str(Path(name).resolve()) if Path(name).is_dir() else name
        return "sentence-transformer", place
    raise UnknownName(
        f"no encoder is called {name!r}: there are {', '.join(known)}; or give the folder or "
        f"hub id (owner/name) of a sentence-transformers model"
    )
