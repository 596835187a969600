"""LangChain's ways of writing notes and asking for them: ours, and the stock integration's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from qdrant_client import QdrantClient, models

from drehr_rag import EhrIndex, Patient
from drehr_rag.integrations.langchain import (
    DrEhrEmbeddings,
    DrEhrRetriever,
    DrEhrTextSplitter,
    DrEhrVectorStore,
    EhrNoteLoader,
)
from drehr_rag.protocols import Encoder
from drehr_rag.types import Scope


class Plain(Embeddings):
    """As `HuggingFaceEmbeddings` calls sentence-transformers; queries are known beforehand."""

    def __init__(self, model: Any, known: Mapping[str, list[float]]) -> None:
        """Keep the model and the queries' vectors."""
        self._model = model
        self._known = known

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Line breaks become spaces, as there."""
        rows: list[list[float]] = self._model.encode([t.replace("\n", " ") for t in texts]).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """From the table."""
        return self._known[text]


class Nothing(BaseRetriever):
    """Finds what it was given: what is left is LangChain's own work."""

    found: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.found


class LangChain:
    """Loader, splitter and store, as the documentation puts them together."""

    name = "LangChain"
    package = "langchain-core"
    stock_package = "langchain-qdrant"

    def __init__(self, model: Any, known: Mapping[str, list[float]]) -> None:
        """Take sentence-transformers and the queries' vectors for the stock side."""
        self._plain = Plain(model, known)

    def write(self, scope: Scope, file: Path, encoder: Encoder, place: Path) -> int:
        """Notes into our store; how many passages."""
        embeddings = DrEhrEmbeddings.of(encoder)
        store = DrEhrVectorStore.open(place, embedding=embeddings, scope=scope)
        with store.index:
            return len(store.add_documents(_passages(file, encoder)))

    def own(self, file: Path, encoder: Encoder) -> None:
        """LangChain has no pipeline: every call is one of ours."""

    def write_stock(self, file: Path, encoder: Encoder, place: Path) -> int:
        """The same passages into the stock store."""
        from langchain_qdrant import QdrantVectorStore

        size, cosine = encoder.fingerprint.dimension, models.Distance.COSINE
        with closing(QdrantClient(path=str(place))) as client:
            client.create_collection("notes", models.VectorParams(size=size, distance=cosine))
            store = QdrantVectorStore(client, "notes", self._plain)
            passages = _passages(file, encoder)
            fresh = [p.model_copy(update={"id": None}) for p in passages]  # it takes only UUIDs
            return len(store.add_documents(fresh))

    def ways(
        self, index: EhrIndex, scope: Scope, k: int, first: str
    ) -> dict[tuple[str, str], Callable[[str], Any]]:
        """By name and mode."""
        retriever = DrEhrRetriever(index=index, scope=scope, k=k)
        store = DrEhrVectorStore(index, scope=scope)
        dense = DrEhrVectorStore(index, scope=scope, mode="dense")
        return {
            ("DrEhrRetriever", "hybrid"): retriever.invoke,
            ("DrEhrRetriever, ainvoke", "hybrid"): retriever.ainvoke,
            ("DrEhrVectorStore", "hybrid"): lambda query: store.similarity_search(query, k),
            ("DrEhrVectorStore", "dense"): lambda query: dense.similarity_search(query, k),
            ("DrEhrVectorStore.as_retriever", "hybrid"): store.as_retriever(
                search_kwargs={"k": k}
            ).invoke,
            ("a retriever that does nothing", ""): Nothing(found=retriever.invoke(first)).invoke,
        }

    @contextmanager
    def stock(self, place: Path, scope: Scope, k: int) -> Iterator[Callable[[str], Any]]:
        """The stock store's search, in the store of `write_stock`."""
        from langchain_qdrant import QdrantVectorStore

        only = None
        if isinstance(scope, Patient):
            value = models.MatchValue(value=scope.patient_id)
            condition = models.FieldCondition(key="metadata.patient_id", match=value)
            only = models.Filter(must=[condition])
        with closing(QdrantClient(path=str(place))) as client:
            store = QdrantVectorStore(client, "notes", self._plain)
            yield lambda query: store.similarity_search(query, k=k, filter=only)

    def texts(self, found: list[Document]) -> set[str]:
        """What was found."""
        return {document.page_content for document in found}


def _passages(file: Path, encoder: Encoder) -> list[Document]:
    splitter = DrEhrTextSplitter(DrEhrEmbeddings.of(encoder))
    return splitter.split_documents(EhrNoteLoader(file).lazy_load())
