"""Query to hits: one module a retriever, each with `build(encoder, store, **options)`."""

from inspect import signature
from typing import Any

from drehr_rag._registry import find
from drehr_rag.errors import UnknownName
from drehr_rag.protocols import Retriever

__all__ = ["load_retriever"]


def load_retriever(name: str, **parts: Any) -> Retriever:
    """A retriever by name: `hybrid`, `dense`, `lexical`, `rrf`, `expanded`, or a third party's.

    Args:
        name: Its name.
        parts: `encoder`, `store`, and the retriever's own options.

    Raises:
        UnknownName: There is none of this name, or it has no such option.
    """
    build = find(__name__, name).build
    known = signature(build).parameters
    if wrong := sorted(set(parts) - set(known)):
        own = [part for part in known if part not in ("encoder", "store")]
        takes = f"takes {', '.join(own)}" if own else "has no options"
        raise UnknownName(f"the retriever {name} {takes}, not {', '.join(wrong)}")
    retriever: Retriever = build(**parts)
    return retriever
