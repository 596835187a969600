"""What the cases for a vector store share: how it is opened, and what is put in."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from drehr_rag.integrations.llama_index import DrEhrEmbedding
from drehr_rag.testing.hash_encoder import HashEncoder
from drehr_rag.testing.llama_index._sample import embedded, sample

MODES = (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.SPARSE, VectorStoreQueryMode.HYBRID)


class StoreCases(ABC):
    """Opens, fills and asks a store."""

    modes: tuple[VectorStoreQueryMode, ...] = MODES
    """Those that the store has."""

    @abstractmethod
    def open_store(self, folder: Path) -> BasePydanticVectorStore:
        """A new, empty store for everybody's nodes; its files, if any, in the folder."""

    @abstractmethod
    def bind(self, store: BasePydanticVectorStore, patient_id: str) -> BasePydanticVectorStore:
        """The same store for one patient, as a request handler would get it."""

    def close(self, store: BasePydanticVectorStore) -> None:
        """Let go of it."""
        return

    def reopen(self, folder: Path, persisted: Path) -> BasePydanticVectorStore | None:
        """The closed store, for everybody again; None if it cannot be saved."""
        return None

    def model(self) -> BaseEmbedding:
        """The embedding model whose vectors the store takes."""
        return DrEhrEmbedding(encoder=HashEncoder(dimension=32))

    @contextmanager
    def _opened(self) -> Iterator[BasePydanticVectorStore]:
        with TemporaryDirectory() as folder:
            store = self.open_store(Path(folder) / "store")
            try:
                yield store
            finally:
                self.close(store)

    @contextmanager
    def _filled(self) -> Iterator[BasePydanticVectorStore]:
        with self._opened() as store:
            store.add(embedded(sample(), self.model()))
            yield store

    def _query(
        self,
        words: str,
        *,
        mode: VectorStoreQueryMode = VectorStoreQueryMode.DEFAULT,
        top_k: int = 10,
        **conditions: Any,
    ) -> VectorStoreQuery:
        return VectorStoreQuery(
            query_str=words,
            query_embedding=self.model().get_query_embedding(words),
            mode=mode,
            similarity_top_k=top_k,
            **conditions,
        )

    def _held(self, store: BasePydanticVectorStore) -> set[str]:
        ids = [node.node_id for node in sample()]
        return {node.node_id for node in store.get_nodes(node_ids=[*ids, "new", "own", "bare"])}
