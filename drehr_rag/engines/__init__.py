"""Where notes are read, split and encoded: one module an engine, each with `load(**options)`.

An engine decides nothing. Which notes are new, unchanged, replaced or rejected is decided by
`drehr_rag.indexing` alone, on the machine that drives the run, whatever the engine.
"""

from typing import Any

from drehr_rag._registry import check_options, find
from drehr_rag.engines._work import write
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
    check_options(f"the engine {name}", load, options)
    engine: Engine = load(**options)
    return engine
