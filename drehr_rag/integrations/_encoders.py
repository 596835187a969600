"""What both frameworks hold on to: an index, and one copy of an encoder's weights a process."""

import json
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any

from drehr_rag.encoders import load_encoder, options_of
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.protocols import Encoder

_loading = Lock()
"""Two threads that ask at once get one copy."""

_given: list[tuple[Encoder, str, str]] = []
"""What this process has loaded, as it was asked for."""


def an_index(index: object) -> EhrIndex:
    """What is given, if it is an index.

    Raises:
        BadArgument: It is something else, such as a folder.
    """
    if not isinstance(index, EhrIndex):
        raise BadArgument(
            f"index is an EhrIndex, not {type(index).__name__}: EhrIndex.open(...) opens a folder "
            "or a URL; that of a DrEhrVectorStore is its index (LangChain) or client (LlamaIndex)"
        )
    return index


def shared_encoder(name: str, options: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder of this name and these options; loaded when first asked for.

    Raises:
        BadArgument: An option is no JSON value.
        ModelUnavailable, MissingExtra, UnknownName: As `load_encoder`.
    """
    try:
        key = json.dumps(dict(options or {}), sort_keys=True)
    except TypeError:
        raise BadArgument("an encoder's options are text, numbers or truth values") from None
    with _loading:
        return _loaded(name, key)


def how_to_load(encoder: Encoder) -> tuple[str, dict[str, Any]]:
    """Name and options by which another process gets the same encoder.

    Of one that `shared_encoder` gave, they are those that it was asked for with, so that several
    components of one encoder load it once there too; of any other, its name and the options that
    decide its vectors.
    """
    for known, name, options in _given:
        if known is encoder:
            return name, json.loads(options)
    return encoder.name, options_of(encoder)


@cache
def _loaded(name: str, options: str) -> Encoder:
    encoder = load_encoder(name, **json.loads(options))
    _given.append((encoder, name, options))
    return encoder
