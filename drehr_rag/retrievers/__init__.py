"""Query to hits: one module a retriever, each with `build(encoder, store, **options)`."""

from typing import Any

from drehr_rag._registry import find
from drehr_rag.protocols import Retriever

__all__ = ["load_retriever"]


def load_retriever(name: str, **parts: Any) -> Retriever:
    """A retriever by name: `hybrid`, `dense`, `lexical`, or a third party's.

    Args:
        name: Its name.
        parts: `encoder`, `store`, and the retriever's own options.

    Raises:
        UnknownName: There is none of this name.
    """
    retriever: Retriever = find(__name__, name).build(**parts)
    return retriever
