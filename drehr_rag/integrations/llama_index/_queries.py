"""What a LlamaIndex query asks for, in the core's words."""

from typing import Any

import numpy as np
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from drehr_rag._arguments import check_list, check_words, positive
from drehr_rag.errors import BadArgument
from drehr_rag.integrations._search import BOTH
from drehr_rag.integrations.llama_index._filters import keep, known_to_the_store
from drehr_rag.retrievers._fusion import DENSE_SHARE
from drehr_rag.types import Mode, Vectors

_MODES: dict[VectorStoreQueryMode, Mode] = {
    VectorStoreQueryMode.DEFAULT: "dense",
    VectorStoreQueryMode.SPARSE: "lexical",
    VectorStoreQueryMode.TEXT_SEARCH: "lexical",
    VectorStoreQueryMode.HYBRID: "expanded",
}


def checked_ids(values: Any, what: str) -> tuple[str, ...]:
    """The ids as they are.

    Raises:
        BadArgument: It is no list, or one of them is no text or empty.
    """
    check_list(values, what)
    ids = tuple(values)
    for value in ids:
        if not isinstance(value, str) or not value:
            raise BadArgument(f"{what}: ids are text and not empty, not {type(value).__name__}")
    return ids


def asked_for(query: VectorStoreQuery, *, expand: bool) -> dict[str, Any]:
    """The arguments of `_search.search`, but for store, scope and expander.

    Args:
        query: LlamaIndex's.
        expand: Whether `hybrid` looks for other words too.

    Raises:
        BadArgument: A mode or option that this store has not, or an empty query.
    """
    for option in ("output_fields", "embedding_field", "mmr_threshold"):
        if getattr(query, option) is not None:
            raise BadArgument(f"this vector store has no {option}: leave it out")
    if query.mode not in _MODES:
        known = ", ".join(mode.value for mode in _MODES)
        raise BadArgument(f"this vector store has no mode {query.mode!r}: it has {known}")
    mode = _MODES[VectorStoreQueryMode(query.mode)]
    if mode == "expanded" and not expand:
        mode = "hybrid"
    if query.query_str or (query.query_str == "" and query.query_embedding is None):
        check_words(query.query_str, "query")  # LlamaIndex makes no vector of an empty one
    passes = keep(query.filters)  # first, since it checks them
    return {
        "mode": mode,
        "words": query.query_str,
        "vector": None if mode == "lexical" else _vector(query.query_embedding),
        "filters": known_to_the_store(
            query.filters,
            note_ids=None if query.doc_ids is None else checked_ids(query.doc_ids, "doc_ids"),
            chunk_ids=checked_ids(query.node_ids or [], "node_ids") or None,
        ),
        "keep": passes,
        "k": _how_many(query, mode),
        "dense_share": _share(query.alpha),
    }


def _how_many(query: VectorStoreQuery, mode: Mode) -> int:
    top = positive(query.similarity_top_k, "similarity_top_k")
    if mode == "lexical" and query.sparse_top_k is not None:
        return positive(query.sparse_top_k, "sparse_top_k")
    if mode in BOTH and query.hybrid_top_k is not None:
        return positive(query.hybrid_top_k, "hybrid_top_k")
    return top


def _share(alpha: float | None) -> float:
    if alpha is None:
        return DENSE_SHARE
    if not 0 <= alpha <= 1:
        raise BadArgument(f"alpha is from 0 (words alone) to 1 (vectors alone), not {alpha}")
    return alpha


def _vector(embedding: list[float] | None) -> Vectors | None:
    if embedding is None:
        return None
    try:
        with np.errstate(over="ignore"):
            return np.asarray(embedding, dtype=np.float32).reshape(-1)
    except (ValueError, TypeError):
        raise BadArgument("query_embedding is a list of numbers") from None
