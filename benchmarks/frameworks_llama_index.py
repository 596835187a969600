"""LlamaIndex's ways of writing notes and asking for them: ours, and the stock integration's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import TextSplitter
from llama_index.core.schema import Document, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from qdrant_client import QdrantClient

from drehr_rag import EhrIndex, Patient
from drehr_rag.integrations.llama_index import (
    DrEhrEmbedding,
    DrEhrNodeParser,
    DrEhrRetriever,
    DrEhrVectorStore,
    EhrNoteReader,
)
from drehr_rag.protocols import Encoder
from drehr_rag.types import Scope


class Plain(BaseEmbedding):
    """As `HuggingFaceEmbedding` calls sentence-transformers; queries are known beforehand."""

    _model: Any = PrivateAttr()
    _known: Mapping[str, list[float]] = PrivateAttr()

    def __init__(self, model: Any, known: Mapping[str, list[float]]) -> None:
        """Keep the model and the queries' vectors."""
        super().__init__()
        self._model = model
        self._known = known

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._model.encode(
            texts, batch_size=self.embed_batch_size, normalize_embeddings=True
        ).tolist()
        return rows

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._known[query]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._known[query]


class Nothing(BaseRetriever):
    """Finds what it was given: what is left is LlamaIndex's own work."""

    def __init__(self, nodes: list[NodeWithScore]) -> None:
        """Keep them."""
        super().__init__()
        self._nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes


class Known(TextSplitter):
    """A stock splitter that knows where to cut: all else is LlamaIndex's own work."""

    _pieces: Mapping[str, list[str]] = PrivateAttr()

    def __init__(self, pieces: Mapping[str, list[str]]) -> None:
        """Keep the pieces of each text."""
        super().__init__()
        self._pieces = pieces

    def split_text(self, text: str) -> list[str]:
        """Those of the text."""
        return self._pieces[text]


class OneVector(BaseEmbedding):
    """The same vector for every text: what is left is LlamaIndex's own work.

    Of that is a list of numbers of its own for each text, which is what LlamaIndex's interface
    asks of every embedding; `HuggingFaceEmbedding` makes it as here.
    """

    vector: list[float]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = np.tile(np.float32(self.vector), (len(texts), 1)).tolist()
        return rows

    def _get_text_embedding(self, text: str) -> list[float]:
        return list(self.vector)

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return list(self.vector)


class LlamaIndex:
    """Reader, parser, embedding and store in a pipeline, as the documentation shows."""

    name = "LlamaIndex"
    package = "llama-index-core"
    stock_package = "llama-index-vector-stores-qdrant"

    def __init__(self, model: Any, known: Mapping[str, list[float]]) -> None:
        """Take sentence-transformers and the queries' vectors for the stock side."""
        self._plain = Plain(model, known)

    def write(self, scope: Scope, file: Path, encoder: Encoder, place: Path) -> int:
        """Notes into our store; how many nodes."""
        parser, embedding = DrEhrNodeParser(encoder=encoder), DrEhrEmbedding(encoder=encoder)
        with DrEhrVectorStore.open(place, scope=scope, encoder=encoder) as store:
            pipeline = IngestionPipeline(transformations=[parser, embedding], vector_store=store)
            return len(pipeline.run(documents=EhrNoteReader().load_data(file)))

    def own(self, file: Path, encoder: Encoder) -> Callable[[Path], int]:
        """A pipeline of stock parts that know pieces and vectors beforehand, without a store."""
        rows = [
            {"id_": one.id_, "text": one.text, "metadata": one.metadata}
            for one in EhrNoteReader().load_data(file)
        ]
        pieces: dict[str, list[str]] = {row["text"]: [] for row in rows}
        texts = {row["id_"]: row["text"] for row in rows}
        parser = DrEhrNodeParser(encoder=encoder)
        for node in parser([Document(**row) for row in rows]):
            pieces[texts[node.ref_doc_id]].append(node.get_content())
        batch = DrEhrEmbedding(encoder=encoder).embed_batch_size
        vector = [1.0] * encoder.fingerprint.dimension

        def run(place: Path) -> int:
            embedding = OneVector(vector=vector, embed_batch_size=batch)
            pipeline = IngestionPipeline(transformations=[Known(pieces), embedding])
            return len(pipeline.run(documents=[Document(**row) for row in rows]))

        return run

    def write_stock(self, file: Path, encoder: Encoder, place: Path) -> int:
        """The same nodes into the stock store."""
        from llama_index.vector_stores.qdrant import QdrantVectorStore

        parser = DrEhrNodeParser(encoder=encoder, id_func=_uuid)
        with closing(QdrantClient(path=str(place))) as client:
            store = QdrantVectorStore("notes", client=client)
            pipeline = IngestionPipeline(transformations=[parser, self._plain], vector_store=store)
            return len(pipeline.run(documents=EhrNoteReader().load_data(file)))

    def ways(
        self, index: EhrIndex, scope: Scope, k: int, first: str
    ) -> dict[tuple[str, str], Callable[[str], Any]]:
        """By name and mode."""
        retriever = DrEhrRetriever(index, scope=scope, similarity_top_k=k)
        on_top = VectorStoreIndex.from_vector_store(
            DrEhrVectorStore(index, scope=scope), embed_model=DrEhrEmbedding(encoder=index.encoder)
        )
        hybrid = on_top.as_retriever(similarity_top_k=k, vector_store_query_mode="hybrid")
        return {
            ("DrEhrRetriever", "hybrid"): retriever.retrieve,
            ("DrEhrRetriever, aretrieve", "hybrid"): retriever.aretrieve,
            ("VectorStoreIndex on DrEhrVectorStore", "hybrid"): hybrid.retrieve,
            ("VectorStoreIndex on DrEhrVectorStore", "dense"): on_top.as_retriever(
                similarity_top_k=k
            ).retrieve,
            ("a retriever that does nothing", ""): Nothing(retriever.retrieve(first)).retrieve,
        }

    @contextmanager
    def stock(self, place: Path, scope: Scope, k: int) -> Iterator[Callable[[str], Any]]:
        """The stock store's search, in the store of `write_stock`."""
        from llama_index.vector_stores.qdrant import QdrantVectorStore

        only = None
        if isinstance(scope, Patient):
            match = MetadataFilter(key="patient_id", value=scope.patient_id)
            only = MetadataFilters(filters=[match])
        with closing(QdrantClient(path=str(place))) as client:
            store = QdrantVectorStore("notes", client=client)
            index = VectorStoreIndex.from_vector_store(store, embed_model=self._plain)
            yield index.as_retriever(similarity_top_k=k, filters=only).retrieve

    def texts(self, found: list[NodeWithScore]) -> set[str]:
        """What was found."""
        return {one.text for one in found}


def _uuid(number: int, source: Any) -> str:
    """A node's id in the stock store, which takes no others."""
    return str(uuid4())
