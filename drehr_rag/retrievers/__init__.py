"""Query to hits: one module a retriever, each with `build(encoder, store, **options)`."""

from typing import Any

from drehr_rag._registry import check_options, find
from drehr_rag.protocols import Retriever

__all__ = ["load_retriever"]

OURS = ("encoder", "store")
"""What an index gives to each retriever."""


def load_retriever(name: str, **parts: Any) -> Retriever:
    """A retriever by name: `hybrid`, `dense`, `lexical`, `rrf`, `expanded`, or a third party's.

    Args:
        name: Its name.
        parts: `encoder`, `store`, and the retriever's own options.

    Raises:
        UnknownName: There is none of this name, or it has no such option.
        BadArgument: A part that it needs is missing.
    """
    build = find(__name__, name).build
    options = [part for part in parts if part not in OURS]
    check_options(f"the retriever {name}", build, options, given=OURS)
    check_options(f"the retriever {name}", build, list(parts))  # encoder and store are there, too
    retriever: Retriever = build(**parts)
    return retriever
