"""Vectors to hits inside a scope: one module a store, each with `open_store(location, …)`."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from drehr_rag._registry import find
from drehr_rag.errors import BadArgument
from drehr_rag.stores._options import Access, Layout, layout_of
from drehr_rag.stores._scoped import ScopedStore

__all__ = ["Access", "Layout", "ScopedStore", "kind_of", "open_store", "plugin"]


def kind_of(location: str) -> str:
    """The plug-in for a location: `memory`, `server` for a URL, else `edge` for a folder."""
    if location == ":memory:":
        return "memory"
    scheme, separator, _ = location.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise BadArgument(f"a store is a folder, or http(s)://host:6333/collection, not {scheme}")
    return "server" if separator else "edge"


def plugin(location: str) -> ModuleType:
    """The module for a location; has `open_store` and `restore`."""
    return find(__name__, kind_of(location))


def open_store(
    location: str,
    *,
    manifest: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    access: Access | None = None,
) -> ScopedStore:
    """Open a store, or make it.

    Args:
        location: A folder, a URL (`http://host:6333/collection`) or `:memory:`.
        manifest: What a new store is to remember; must hold `dimension`. Without it the store
            must exist. A store that exists keeps its own.
        layout: How a new store keeps its vectors; a store that exists must have been made so.
        access: How the store is talked to.

    Raises:
        BadArgument: The store exists in another layout, or layout or access are none.
        StoreMissing: There is none, and no manifest to make one with.
        StoreInUse: Another process holds it.
        StoreDamaged: Its files are broken.
        StoreOutdated: It was written in another schema version.
    """
    for given, kind in ((layout, Layout), (access, Access)):
        if given is not None and not isinstance(given, kind):
            name = kind.__name__
            raise BadArgument(f"{name.lower()} takes {name}(…), not {type(given).__name__}")
    store: ScopedStore = plugin(location).open_store(
        location, manifest=manifest, layout=layout, access=access
    )
    if layout is not None and "layout" in store.manifest:
        made = layout_of(store.manifest)
        if layout.resolved(store.manifest["dimension"]) != made:
            store.close()
            raise BadArgument(
                f"{location} was made with {made}: to change it, copy it with drehr-rag store copy"
            )
    return store
