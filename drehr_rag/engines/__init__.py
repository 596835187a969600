"""Where notes are read, split and encoded: one module an engine, each with `load(**options)`.

An engine decides nothing. Which notes are new, unchanged, replaced or rejected is decided by
`drehr_rag.indexing` alone, on the machine that drives the run, whatever the engine.
"""

from inspect import signature
from typing import Any

from drehr_rag._registry import find
from drehr_rag.engines._work import write
from drehr_rag.errors import UnknownName
from drehr_rag.protocols import Engine

__all__ = ["load_engine", "write"]


def load_engine(name: str, **options: Any) -> Engine:
    """Load an engine.

    Args:
        name: `local` (this process) or `ray`.
        options: The engine's own, e.g. `workers=4` of `ray`.

    Raises:
        MissingExtra: The packages that it needs are not installed.
        UnknownName: No engine, or no option of it, has this name.
    """
    load = find(__name__, name).load
    known = list(signature(load).parameters)
    if wrong := sorted(set(options) - set(known)):
        takes = f"takes only {', '.join(known)}" if known else "has no options"
        raise UnknownName(f"engine {name!r} {takes}, not {', '.join(wrong)}")
    engine: Engine = load(**options)
    return engine
