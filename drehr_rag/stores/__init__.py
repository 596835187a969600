"""Vectors to hits inside a scope: one module a store, each with `open_store(location, …)`."""

from collections.abc import Mapping
from typing import Any

from drehr_rag._registry import find
from drehr_rag.errors import BadArgument
from drehr_rag.stores._scoped import ScopedStore

__all__ = ["ScopedStore", "kind_of", "open_store"]


def kind_of(location: str) -> str:
    """The plug-in for a location: `memory`, `server` for a URL, else `edge` for a folder."""
    if location == ":memory:":
        return "memory"
    scheme, separator, _ = location.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise BadArgument(f"a store is a folder, or http(s)://host:6333/collection, not {scheme}")
    return "server" if separator else "edge"


def open_store(location: str, *, manifest: Mapping[str, Any] | None = None) -> ScopedStore:
    """Open a store, or make it.

    Args:
        location: A folder, a URL (`http://host:6333/collection`) or `:memory:`.
        manifest: What a new store is to remember; must hold `dimension`. Without it the store
            must exist. A store that exists keeps its own.

    Raises:
        StoreMissing: There is none, and no manifest to make one with.
        StoreInUse: Another process holds it.
        StoreDamaged: Its files are broken.
        StoreOutdated: It was written in another schema version.
    """
    store: ScopedStore = find(__name__, kind_of(location)).open_store(location, manifest=manifest)
    return store
