"""The suite of ingestion: a pipeline with a document store loses nothing and doubles nothing."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.schema import Document, TransformComponent
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from drehr_rag.testing.llama_index._check import check

COUNT = 12


class IngestionSuite(ABC):
    """Subclass it, name the subclass `Test…`, fill in the first two methods.

    Checked for each document: exactly the nodes of its present text are in the store, after a
    first run, the same again, edits, a deletion, a run that was cut off, with and without the
    pipeline's cache, synchronous or not.
    """

    @abstractmethod
    def open_store(self, folder: Path) -> BasePydanticVectorStore:
        """A new, empty store for everybody's nodes; its files, if any, in the folder."""

    @abstractmethod
    def transformations(self) -> list[TransformComponent]:
        """A node parser and the embedding model."""

    def close(self, store: BasePydanticVectorStore) -> None:
        """Let go of it."""
        return

    def document(self, number: int, text: str) -> Document:
        """A document of the name `d<number>`; patients share texts."""
        metadata = {"patient_id": f"p{number % 3}", "note_id": f"d{number}"}
        keys = list(metadata)
        return Document(
            id_=f"d{number}", text=text, metadata=metadata, excluded_embed_metadata_keys=keys
        )

    def test_first_run_and_the_same_again(self) -> None:
        """Two documents of the same text are two; the second run adds nothing."""
        for cached in (True, False):
            with self._pipeline(cached) as (pipeline, store):
                documents = self._documents()
                self._run(pipeline, documents)
                self._exactly(store, documents)
                self._run(pipeline, self._documents())
                self._exactly(store, documents)

    def test_an_edit_replaces_and_leaves_the_rest(self) -> None:
        """Longer, shorter, and back to what it was, which the cache still knows."""
        for cached in (True, False):
            with self._pipeline(cached) as (pipeline, store):
                self._run(pipeline, self._documents())
                for text in ("Short.", "Very much longer. " * 200, self._documents()[3].text):
                    documents = self._documents()
                    documents[3] = self.document(3, text)
                    self._run(pipeline, documents)
                    self._exactly(store, documents)

    def test_documents_one_by_one(self) -> None:
        """As a feed sends them: what is not in a batch stays."""
        with self._pipeline(True) as (pipeline, store):
            documents = self._documents()
            for document in self._documents():
                self._run(pipeline, [document])
            self._exactly(store, documents)

    def test_what_is_left_out_is_deleted_where_that_is_wanted(self) -> None:
        """With the strategy upserts_and_delete, and only with it."""
        with self._pipeline(True, DocstoreStrategy.UPSERTS_AND_DELETE) as (pipeline, store):
            self._run(pipeline, self._documents())
            some = self._documents()[:5]
            self._run(pipeline, some)
            self._exactly(store, some)

    def test_a_run_that_died_before_the_document_store_knew(self) -> None:
        """The nodes are written, the document store is not: the next run doubles nothing."""
        with self._pipeline(False) as (pipeline, store):
            self._run(pipeline, self._documents())
            pipeline.docstore = SimpleDocumentStore()
            self._run(pipeline, self._documents())
            self._exactly(store, self._documents())

    def test_asynchronous(self) -> None:
        """As the synchronous run."""
        with self._pipeline(True) as (pipeline, store):
            asyncio.run(pipeline.arun(documents=self._documents()))
            documents = self._documents()
            documents[3] = self.document(3, "Edited.")
            asyncio.run(pipeline.arun(documents=list(documents)))
            self._exactly(store, documents)

    def test_documents_without_text_lose_nothing_beside_them(self) -> None:
        """Nor does a document that is given twice in one run, or a generator of documents."""
        for cached in (True, False):
            with self._pipeline(cached) as (pipeline, store):
                documents = self._documents()
                bare = [self.document(100, ""), self.document(101, " \n")]
                given: Any = (one for one in [bare[0], *self._documents(), bare[1]])
                pipeline.run(documents=given)
                self._exactly(store, documents)
                self._run(pipeline, [*self._documents(), *self._documents()])
                self._exactly(store, documents)
                documents[3] = self.document(3, "")
                self._run(pipeline, [one.model_copy() for one in documents])
                self._exactly(store, documents)

    # -- tools -----------------------------------------------------------------------------------

    def _documents(self) -> list[Document]:
        return [
            self.document(number, f"Plan: treat case {number % 4}. " * (1 + 40 * (number % 3)))
            for number in range(COUNT)
        ]

    @contextmanager
    def _pipeline(
        self, cached: bool, strategy: DocstoreStrategy = DocstoreStrategy.UPSERTS
    ) -> Iterator[tuple[IngestionPipeline, BasePydanticVectorStore]]:
        with TemporaryDirectory() as folder:
            store = self.open_store(Path(folder) / "store")
            pipeline = IngestionPipeline(
                transformations=self.transformations(),
                vector_store=store,
                docstore=SimpleDocumentStore(),
                docstore_strategy=strategy,
                disable_cache=not cached,
            )
            try:
                yield pipeline, store
            finally:
                self.close(store)

    def _run(self, pipeline: IngestionPipeline, documents: Sequence[Document]) -> None:
        pipeline.run(documents=list(documents))

    def _exactly(self, store: BasePydanticVectorStore, documents: Sequence[Document]) -> None:
        """Compare with what the parser alone makes of the documents."""
        parse: Any = self.transformations()[0]
        expected = sorted(
            (node.ref_doc_id, node.get_content(), node.metadata["patient_id"])
            for node in parse([document.model_copy() for document in documents])
        )
        held = sorted(
            (node.ref_doc_id, node.get_content(), node.metadata["patient_id"])
            for node in store.get_nodes()
        )
        check(held == expected, f"{len(held)} nodes are held, {len(expected)} are right")
