"""`DrEhrVectorStore`: an index as LangChain's vector store, inside a scope."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from qdrant_client import QdrantClient

from drehr_rag._arguments import check_words, positive
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._adoption import check_alike, dense, pages
from drehr_rag.integrations._encoders import an_index
from drehr_rag.integrations._fixed_options import checked_mode
from drehr_rag.integrations._threads import finish, finish_in_thread, in_thread, twin
from drehr_rag.integrations.langchain._documents import made_of, to_document
from drehr_rag.integrations.langchain._foreign import embeddings_of, encoder_of
from drehr_rag.integrations.langchain._narrowing import check_known, check_share, filters_of
from drehr_rag.integrations.langchain._scopes import around, narrowest
from drehr_rag.integrations.langchain._tracing import refuse_tracing
from drehr_rag.integrations.langchain._writing import adding, checked_ids, delete
from drehr_rag.integrations.langchain.qdrant_loader import QdrantCollectionLoader
from drehr_rag.integrations.langchain.store_retriever import DrEhrVectorStoreRetriever
from drehr_rag.types import AssertionMode, Hit, Mode, Scope, Vectors


class DrEhrVectorStore(VectorStore):
    """Documents and notes in one index; nothing outside the scope is read, written or deleted.

    Every method takes `scope`, which may narrow the store's own and never widen it; the searches
    also take `note_type`, `section`, `since` and `until`, and those by words `assertion`, as
    `EhrIndex.search` does.

    A document's `patient_id`, `encounter_id`, `note_id`, `note_type`, `section` and `written_at`
    are read from its metadata, which comes back as it was given. One that names a note belongs to
    it: when the note is deleted or indexed anew, the document goes too.

    Args:
        index: Where they are.
        scope: The ceiling of every call. Without one, each call must name a scope.
        mode: How texts are searched for: `expanded`: by other words too, of the packaged graph
            or of another (`index.use_graph`); `hybrid`, `dense`, `lexical`, or `rrf`.
        allow_tracing: Let hosted tracing send note text out of this machine.
    """

    def __init__(
        self,
        index: EhrIndex,
        *,
        scope: Scope | None = None,
        mode: Mode = "expanded",
        allow_tracing: bool = False,
    ) -> None:
        """Nothing is run.

        Raises:
            BadArgument: What is given as index is none.
            ScopeRequired: What is given as scope is none.
            UnknownName: There is no such mode.
        """
        self.index = an_index(index)
        self.scope = None if scope is None else narrowest(scope)
        self.mode: Mode = checked_mode(mode)
        self.allow_tracing = allow_tracing

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        embedding: Embeddings | None = None,
        scope: Scope | None = None,
        mode: Mode = "expanded",
        allow_tracing: bool = False,
        **options: Any,
    ) -> Self:
        """Open an index, or make it.

        Args:
            location: A folder, `http://host:6333/collection` or `:memory:`.
            embedding: `DrEhrEmbeddings`, or any other of LangChain's; an index that exists
                remembers its encoder and refuses any other.
            scope: As in the constructor.
            mode: As in the constructor.
            allow_tracing: As in the constructor.
            options: Of `EhrIndex.open`: `chunker`, `chunker_options`, `create`.

        Raises:
            StoreMissing: There is no index, and no embedding to make one with.
            EncoderMismatch: It was made with another encoder.
        """
        checked_mode(mode)  # before anything is made or held open
        bound = None if scope is None else narrowest(scope)
        encoder = None if embedding is None else encoder_of(embedding)
        index = EhrIndex.open(location, encoder=encoder, **options)
        return cls(index, scope=bound, mode=mode, allow_tracing=allow_tracing)

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        location: str | Path = ":memory:",
        **options: Any,
    ) -> Self:
        """Open or make an index and add texts; `options` are those of `open`."""
        store = cls.open(location, embedding=embedding, **options)
        try:
            store.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            store.index.close()
            raise
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **options: Any,
    ) -> Self:
        """As `from_texts`."""
        return await in_thread(cls.from_texts, texts, embedding, metadatas, ids=ids, **options)

    @property
    def embeddings(self) -> Embeddings:
        """Those that the index is made with."""
        return embeddings_of(self.index.encoder)

    # -- writing -----------------------------------------------------------------------------

    def add_documents(  # type: ignore[override]
        self,
        documents: Iterable[Document],
        *,
        ids: Iterable[str | None] | None = None,
        scope: Scope | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """Write documents, over those of the same ids; either all of them can be written, or none.

        Args:
            documents: A list or a generator.
            ids: One a document; None takes the document's own, or a new one.
            scope: Narrows the store's.
            batch_size: Documents encoded and written at a time.

        Returns:
            Their ids, in their order.

        Raises:
            BadArgument: One of them cannot be stored as it is; the message says which and why.
            ScopeError: One is outside the scope, or its id or note belongs to somebody else.
        """
        return finish(self._adding(documents, ids, scope, batch_size))

    async def aadd_documents(  # type: ignore[override]
        self,
        documents: Iterable[Document],
        *,
        ids: Iterable[str | None] | None = None,
        scope: Scope | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """As `add_documents`. Cancelled, it stops between two batches, each of which is whole."""
        return await finish_in_thread(self._adding(documents, ids, scope, batch_size))

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **options: Any,
    ) -> list[str]:
        """Write texts; `options` are those of `add_documents`."""
        return self.add_documents(made_of(texts, metadatas), ids=ids, **options)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[dict[str, Any] | None] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **options: Any,
    ) -> list[str]:
        """As `add_texts`."""
        return await self.aadd_documents(made_of(texts, metadatas), ids=ids, **options)

    def adopt(
        self,
        client: QdrantClient,
        collection: str,
        *,
        vector_name: str | None = None,
        content_key: str = "page_content",
        metadata_key: str = "metadata",
        scope: Scope | None = None,
    ) -> int:
        """Take over a collection of `langchain_qdrant`, ids and vectors included; it is only read.

        The vectors are compared with what this store's encoder makes of some of the texts. Cut
        off, it may be run again.

        Args:
            client: Connected to the server, or to the folder.
            collection: Its name.
            vector_name: Of the dense vectors, if the points have several.
            content_key: Where the text is, as it was given to `QdrantVectorStore`.
            metadata_key: Where the metadata is; patients are under `patient_id` in it.
            scope: Narrows the store's.

        Returns:
            How many documents were taken over.

        Raises:
            StoreMissing: There is no such collection.
            EncoderMismatch: Another encoder made the vectors; nothing was written.
            BadArgument: A point has no text or vector, or cannot be stored as it is.
            ScopeError: A document is outside the scope, or its id is somebody else's.
        """
        bound = self._bound(scope)
        reader = QdrantCollectionLoader(
            client, collection, content_key=content_key, metadata_key=metadata_key
        )
        encoder, taken = self.index.encoder, 0
        for points in pages(client, collection, vectors=True):
            documents = [reader.document(point) for point in points]
            vectors = dense(points, vector_name, encoder.fingerprint.dimension)
            if not taken:
                check_alike(encoder, [one.page_content for one in documents], vectors)
            held = dict(zip((str(point.id) for point in points), vectors, strict=True))
            taken += len(finish(adding(self.index, documents, None, bound, vectors=held)))
        return taken

    def _adding(self, documents: Any, ids: Any, scope: Scope | None, size: int | None) -> Any:
        if size is not None:
            positive(size, "batch_size")
        return adding(self.index, documents, ids, self._bound(scope), batch_size=size)

    def delete(  # type: ignore[override]
        self, ids: Sequence[str] | None = None, *, scope: Scope | None = None
    ) -> bool:
        """Remove documents, from the store's files too; those that are not there are no error.

        Raises:
            BadArgument: No ids: nothing is deleted by leaving something out.
            ScopeError: One is outside the scope; nothing was deleted.
        """
        if ids is None:
            raise BadArgument(
                "delete needs ids; for all that is known of a patient, index.delete_patient(id)"
            )
        delete(self.index.store, checked_ids(ids), self._bound(scope))
        return True

    # -- reading -----------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /, *, scope: Scope | None = None) -> list[Document]:
        """Those of the documents that exist in scope, in the order asked for."""
        chunks = self.index.get(checked_ids(ids), scope=self._bound(scope))
        return [to_document(chunk) for chunk in chunks]

    def similarity_search(self, query: str, k: int = 4, **narrowing: Any) -> list[Document]:
        """The k best documents for a query, best first; `narrowing` as the class says.

        Raises:
            ScopeRequired: Neither store nor call says whose.
            ScopeError: The call reaches outside the store's scope.
        """
        return [to_document(hit.chunk) for hit in self._search(query, k, **narrowing)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **narrowing: Any
    ) -> list[tuple[Document, float]]:
        """As `similarity_search`, with the core's scores: higher is better.

        `hybrid` is from 0 to 1 and relative to this very result, `dense` a cosine, `lexical` BM25.
        """
        return [(to_document(hit.chunk), hit.score) for hit in self._search(query, k, **narrowing)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **narrowing: Any
    ) -> list[Document]:
        """The k documents nearest to a query's vector, by cosine."""
        return [to_document(hit.chunk) for hit in self._nearest(embedding, k, **narrowing)[0]]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **narrowing: Any
    ) -> list[Document]:
        """The k of the `fetch_k` nearest documents that are near the query and unlike each other.

        Args:
            query: It is encoded once, the documents not at all.
            k: At most so many documents.
            fetch_k: At most so many are looked at; at least k.
            lambda_mult: 1 looks at nearness alone, 0 at difference alone.
            narrowing: As the class says.
        """
        check_words(query, "query")
        vector = self.index.encoder.encode_queries([query])[0]
        return self.max_marginal_relevance_search_by_vector(
            vector.tolist(), k, fetch_k, lambda_mult, **narrowing
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **narrowing: Any,
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, with the query's vector."""
        check_share(lambda_mult)
        fetch = max(positive(k), positive(fetch_k, "fetch_k"))
        hits, scope = self._nearest(embedding, fetch, **narrowing)
        held = self.index.store.vectors([hit.chunk.chunk_id for hit in hits], scope=scope)
        there = [hit for hit in hits if hit.chunk.chunk_id in held]  # some may just have gone
        rows: Any = [held[hit.chunk.chunk_id] for hit in there]
        chosen = maximal_marginal_relevance(np.asarray(embedding), rows, lambda_mult, k)
        return [to_document(there[i].chunk) for i in chosen]

    def as_retriever(self, **fields: Any) -> DrEhrVectorStoreRetriever:
        """A retriever over this store.

        Args:
            fields: `scope`, which narrows the store's; `search_type` (`similarity`, `mmr`,
                `similarity_score_threshold`); `search_kwargs` (`k`, `fetch_k`, `lambda_mult`,
                `score_threshold` and what the searches take); `tags` and `metadata`.
        """
        tags = fields.pop("tags", None) or [type(self).__name__]
        allowed = {"allow_tracing": self.allow_tracing, **fields}
        return DrEhrVectorStoreRetriever(vectorstore=self, tags=tags, **allowed)

    def __getstate__(self) -> dict[str, Any]:
        """An open index stays in its process, and in memory it is everybody's notes."""
        raise BadArgument(
            "a vector store holds an open index: in the other process, open it again by its place"
        )

    def __copy__(self) -> Self:
        """Another view of the same index."""
        return type(self)(
            self.index, scope=self.scope, mode=self.mode, allow_tracing=self.allow_tracing
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """As `copy`."""
        return self.__copy__()

    # -- parts -------------------------------------------------------------------------------

    def _bound(self, scope: Scope | None) -> Scope:
        refuse_tracing(allowed=self.allow_tracing)
        return narrowest(self.scope, around(), scope)

    def _search(
        self,
        query: str,
        k: int,
        *,
        scope: Scope | None = None,
        assertion: AssertionMode = "ranked",
        **filters: Any,
    ) -> list[Hit]:
        check_known(filters)
        how: Any = {"mode": self.mode, "assertion": assertion}
        return self.index.search(query, scope=self._bound(scope), k=k, **how, **filters)

    def _nearest(
        self, embedding: Any, k: int, *, scope: Scope | None = None, **filters: Any
    ) -> tuple[list[Hit], Scope]:
        bound = self._bound(scope)
        check_known(filters)
        chosen = filters_of(**filters)
        found = self.index.store.search_dense(_row(embedding), scope=bound, filters=chosen, k=k)
        return found[0], bound

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self.mode == "lexical":
            raise BadArgument("BM25 has no upper bound, so no relevance from 0 to 1: use hybrid")
        if self.mode == "dense":
            return lambda cosine: min(max((cosine + 1) / 2, 0.0), 1.0)
        return lambda score: min(max(score, 0.0), 1.0)

    if not TYPE_CHECKING:  # the signatures are the base's; its bodies take the loop's own threads
        adelete = twin(delete)
        aget_by_ids = twin(get_by_ids)
        asimilarity_search = twin(similarity_search)
        asimilarity_search_with_score = twin(similarity_search_with_score)
        asimilarity_search_by_vector = twin(similarity_search_by_vector)
        amax_marginal_relevance_search = twin(max_marginal_relevance_search)
        amax_marginal_relevance_search_by_vector = twin(max_marginal_relevance_search_by_vector)


def _row(embedding: Any) -> Vectors:
    """Shape (1, dimension)."""
    try:
        row = np.asarray(embedding, dtype=np.float32)
    except (TypeError, ValueError):
        row = np.empty((), dtype=np.float32)
    if row.ndim != 1 or not np.isfinite(row).all() or not row.any():
        raise BadArgument("embedding is one list of finite numbers, not all of them zero")
    return row[None]
