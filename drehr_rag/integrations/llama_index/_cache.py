"""Vectors of texts that were encoded before, in a LlamaIndex key-value store.

LlamaIndex itself keys its `embeddings_cache` by the raw text alone, so that a query gets the
vector of a passage with the same words, or another model's. Here the key is a hash of the
encoder, the side and the text; the cache holds no text.
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any

from llama_index.core.storage.kvstore.types import BaseKVStore

Rows = list[list[float]]

COLLECTION = "drehr_embeddings"


class VectorCache:
    """A key-value store seen as vectors by text.

    Args:
        store: Any LlamaIndex key-value store.
        identity: What decides the encoder's vectors.
    """

    def __init__(self, store: BaseKVStore, identity: str) -> None:
        """Keep both."""
        self._store = store
        self._identity = identity

    def key(self, side: str, text: str) -> str:
        """Of a text as "query" or "passage"."""
        return sha256("\0".join((self._identity, side, text)).encode()).hexdigest()

    def through(self, side: str, texts: Sequence[str], encode: Callable[[list[str]], Rows]) -> Rows:
        """The texts' vectors; those not yet known are encoded in one go, and kept."""
        keys = [self.key(side, text) for text in texts]
        known = {key: self._store.get(key, COLLECTION) for key in keys}
        todo = _unknown(keys, texts, known)
        new = dict(zip(todo, encode(list(todo.values())), strict=True)) if todo else {}
        for key, vector in new.items():
            self._store.put(key, {"vector": vector}, COLLECTION)
        return _rows(keys, known, new)

    async def athrough(
        self, side: str, texts: Sequence[str], encode: Callable[[list[str]], Awaitable[Rows]]
    ) -> Rows:
        """As `through`, without blocking the event loop."""
        keys = [self.key(side, text) for text in texts]
        known = {key: await self._store.aget(key, COLLECTION) for key in keys}
        todo = _unknown(keys, texts, known)
        new = dict(zip(todo, await encode(list(todo.values())), strict=True)) if todo else {}
        for key, vector in new.items():
            await self._store.aput(key, {"vector": vector}, COLLECTION)
        return _rows(keys, known, new)


def _unknown(
    keys: Sequence[str], texts: Sequence[str], known: dict[str, dict[str, Any] | None]
) -> dict[str, str]:
    return {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}


def _rows(
    keys: Sequence[str], known: dict[str, dict[str, Any] | None], new: dict[str, list[float]]
) -> Rows:
    vectors = {key: held["vector"] for key, held in known.items() if held is not None} | new
    return [list(vectors[key]) for key in keys]
