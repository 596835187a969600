"""Query and passages to scores: one module a reranker, each `load(model=None, *, encoder, …)`."""

from pathlib import Path
from typing import Any

from drehr_rag._registry import check_options, find
from drehr_rag.protocols import Encoder, Reranker

__all__ = ["load_reranker"]


def load_reranker(name: str | Path, *, encoder: Encoder | None = None, **options: Any) -> Reranker:
    """Load a reranker.

    Args:
        name: A plug-in's name (`late-interaction`), or one with a place to load it from
            (`cross-encoder:/models/MedCPT-Cross-Encoder`, `served:http://localhost:8000/v1`).
        encoder: The index's own, for those that need no other model.
        options: The reranker's own, e.g. `device="cuda"`.

    Raises:
        ModelUnavailable: The model is not on this machine and cannot be fetched, or its server
            does not answer.
        MissingExtra: The packages that run it are not installed.
        UnknownName: There is no such reranker, or it has no such option.
    """
    plugin, _, model = str(name).partition(":")
    load = find(__name__, plugin).load
    check_options(f"the reranker {plugin}", load, options, given=("model", "encoder"))
    reranker: Reranker = load(model or None, encoder=encoder, **options)
    return reranker
