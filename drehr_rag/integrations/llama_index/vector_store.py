"""`DrEhrVectorStore`: a store as LlamaIndex's vector store, under a ceiling that nothing lifts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Self

from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from qdrant_client import QdrantClient

from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._adoption import check_alike, dense, pages
from drehr_rag.integrations._ceiling import checked_scope, narrowed
from drehr_rag.integrations._encoders import an_index, shared_encoder
from drehr_rag.integrations._search import expander_of, search
from drehr_rag.integrations._threads import in_thread
from drehr_rag.integrations.llama_index._filters import keep, known_to_the_store
from drehr_rag.integrations.llama_index._nodes import to_be_adopted, to_node
from drehr_rag.integrations.llama_index._queries import asked_for, checked_ids
from drehr_rag.integrations.llama_index._saving import Files, note_place, noted_place
from drehr_rag.integrations.llama_index._tracing import refuse_tracing
from drehr_rag.integrations.llama_index._writing import batch_of, check_vectors
from drehr_rag.protocols import Encoder
from drehr_rag.types import AllPatients, AssertionMode, Chunk, Filters, Scope


@dataclass
class _Opened:
    """What all views of one open index share."""

    index: EhrIndex
    lock: RLock = field(default_factory=RLock)
    vectors_checked: bool = False
    deleted: bool = False


class DrEhrVectorStore(BasePydanticVectorStore):
    """Nodes in, nodes out, equal in every field, inside one scope.

    The scope is a ceiling on reading, writing and deleting. Filters, however nested, only narrow
    it. A node's patient is its metadata's `patient_id`; one that names none can be stored and
    found only under `AllPatients`.

    Modes: `default` (the query's vector), `sparse` and `text_search` (BM25), `hybrid` (both, and
    other words of the index's knowledge graph; `alpha` is what the vectors count, 0.3 unless
    given).

    Args:
        index: An open index; see `open`.
        scope: Whose notes.
        check_vectors: Compare the first vector that comes in with the index's own encoder.
        expand: Whether `hybrid` looks for other words too; without, it is the core's `hybrid`.

    Raises:
        ScopeRequired: No scope.
        TracingRefused: A tracer listens that may send notes elsewhere.
    """

    model_config = ConfigDict(extra="forbid")

    stores_text: bool = True
    is_embedding_query: bool = True
    _opened: _Opened = PrivateAttr()
    _scope: Scope = PrivateAttr()
    _expand: bool = PrivateAttr()

    def __init__(
        self,
        index: EhrIndex,
        *,
        scope: Scope,
        check_vectors: bool = True,
        expand: bool = True,
    ) -> None:
        """Check the scope; nothing is read."""
        super().__init__(stores_text=True)
        refuse_tracing()
        self._opened = _Opened(an_index(index), vectors_checked=not check_vectors)
        self._scope = checked_scope(scope)
        self._expand = expand

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        scope: Scope,
        encoder: str | Encoder | None = None,
        create: bool = True,
        check_vectors: bool = True,
        expand: bool = True,
    ) -> Self:
        """Open an index, or make it if it does not exist and an encoder is given.

        Args:
            location: A folder, `http://host:6333/collection`, or `:memory:`.
            scope: Whose notes.
            encoder: That of the embedding model (`DrEhrEmbedding.encoder`), or its name.
            create: Whether an index that does not exist is made.
            check_vectors: As in the constructor.
            expand: As in the constructor.

        Raises:
            DrehrError: As `EhrIndex.open`; ScopeRequired without a scope.
        """
        checked_scope(scope)
        if isinstance(encoder, str):
            encoder = shared_encoder(encoder)
        index = EhrIndex.open(location, encoder=encoder, create=create)
        return cls(index, scope=scope, check_vectors=check_vectors, expand=expand)

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names it."""
        return "DrEhrVectorStore"

    @property
    def client(self) -> EhrIndex:
        """The index; it asks for a scope in every call."""
        return self._opened.index

    @property
    def scope(self) -> Scope:
        """Whose notes it reads and writes."""
        return self._scope

    def with_scope(self, scope: Scope) -> Self:
        """The same index for fewer: a scope inside the present one.

        Raises:
            ScopeError: It reaches beyond.
        """
        other = self.model_copy()
        other._scope = narrowed(self._scope, scope)
        return other

    # -- writing -----------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Write nodes with their vectors; a node of a known id takes its place.

        All are checked before the first is written. They are written in the order given.

        Returns:
            The nodes' ids.

        Raises:
            ScopeError: A node belongs to somebody outside the scope, or its id to another
                patient's node.
            BadArgument: A node without vector, two different nodes of one id, metadata that JSON
                cannot hold.
            EncoderMismatch: The vectors are not those of the index's encoder.
        """
        _no_options(kwargs)
        refuse_tracing()
        batch = batch_of(nodes)
        if not batch.ids:
            return []
        with self._opened.lock:
            if not self._opened.vectors_checked:
                check_vectors(batch, self._opened.index)
                self._opened.vectors_checked = True
            self._store.upsert(
                batch.chunks, batch.dense, batch.sparse, batch.digests, scope=self._scope
            )
        return batch.ids

    def adopt(
        self, client: QdrantClient, collection: str, *, vector_name: str | None = None
    ) -> int:
        """Take over a collection of LlamaIndex's Qdrant store, vectors included; it is only read.

        The vectors are compared with what this store's encoder makes of some of the texts, as
        LlamaIndex embeds them. Cut off, it may be run again.

        Args:
            client: Connected to the server, or to the folder.
            collection: Its name.
            vector_name: Of the dense vectors, if the points have several.

        Returns:
            How many nodes were taken over.

        Raises:
            StoreMissing: There is no such collection.
            EncoderMismatch: Another encoder made the vectors; nothing was written.
            BadArgument: A point is no node, or cannot be stored as it is.
            ScopeError: A node is outside the scope, or its id is somebody else's.
        """
        encoder, taken = self.client.encoder, 0
        for points in pages(client, collection, vectors=True):
            nodes = [to_be_adopted(point.payload or {}, str(point.id)) for point in points]
            vectors = dense(points, vector_name, encoder.fingerprint.dimension)
            if not taken:
                texts = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
                check_alike(encoder, texts, vectors)
                self._opened.vectors_checked = True
            for node, vector in zip(nodes, vectors, strict=True):
                node.embedding = vector.tolist()
            taken += len(self.add(nodes))
        return taken

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document, as far as they are in scope."""
        _no_options(delete_kwargs)
        (note_id,) = checked_ids([ref_doc_id], "ref_doc_id")
        self._delete(Filters(note_ids=(note_id,)))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete the nodes in scope that have one of the ids and meet the filters.

        Raises:
            BadArgument: Neither is given: nothing is deleted by leaving something out.
        """
        _no_options(delete_kwargs)
        if node_ids is None and filters is None:
            raise BadArgument("delete_nodes needs node_ids or filters; clear() deletes a scope")
        ids = None if node_ids is None else checked_ids(node_ids, "node_ids")
        if filters is not None:
            ids = tuple(chunk.chunk_id for chunk in self._matching(ids, filters))
        self._delete(Filters(chunk_ids=ids))

    def clear(self) -> None:
        """Delete everything in scope; refused where that is everybody.

        Raises:
            BadArgument: The scope is `AllPatients`.
        """
        if isinstance(self._scope, AllPatients):
            raise BadArgument(
                "clear would delete every patient's notes: narrow it first, "
                "with_scope(Patient(...)).clear(), or remove the store itself"
            )
        self._delete(Filters())

    def _delete(self, filters: Filters) -> None:
        with self._opened.lock:
            gone = self._store.delete(scope=self._scope, filters=filters)
            self._opened.deleted = self._opened.deleted or gone > 0

    # -- reading -----------------------------------------------------------------------------

    def query(
        self, query: VectorStoreQuery, *, assertion: AssertionMode = "ranked", **kwargs: Any
    ) -> VectorStoreQueryResult:
        """The best nodes in scope, best first.

        Empty `node_ids` are no restriction, since LlamaIndex's own retriever always sends them;
        empty `doc_ids` find nothing.

        Args:
            query: What is asked for.
            assertion: As in `EhrIndex.search`; by `as_retriever(vector_store_kwargs=…)`.
            kwargs: There are no others.

        Raises:
            BadArgument: A mode or option that this store has not, a part of the query missing,
                an empty group of filters.
        """
        _no_options(kwargs)
        refuse_tracing()
        asked = asked_for(query, expand=self._expand)
        asked["expander"] = expander_of(self.client) if asked["mode"] == "expanded" else None
        hits = search(self._store, scope=self._scope, assertion=assertion, **asked)
        return VectorStoreQueryResult(
            nodes=[to_node(hit.chunk) for hit in hits],
            similarities=[hit.score for hit in hits],
            ids=[hit.chunk.chunk_id for hit in hits],
        )

    def get_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
    ) -> list[BaseNode]:
        """The nodes in scope that have one of the ids and meet the filters.

        In the order of the ids; without ids, by document and place in it.
        """
        refuse_tracing()
        ids = None if node_ids is None else checked_ids(node_ids, "node_ids")
        found = {chunk.chunk_id: chunk for chunk in self._matching(ids, filters)}
        if ids is None:
            order = sorted(found.values(), key=lambda c: (c.note_id, c.start, c.chunk_id))
        else:
            order = [found[node_id] for node_id in dict.fromkeys(ids) if node_id in found]
        return [to_node(chunk) for chunk in order]

    def _matching(
        self, ids: tuple[str, ...] | None, filters: MetadataFilters | None
    ) -> list[Chunk]:
        passes = keep(filters)
        wanted = known_to_the_store(filters, chunk_ids=ids)
        chunks = self._store.scan(scope=self._scope, filters=wanted)
        return [chunk for chunk in chunks if passes is None or passes(chunk)]

    # -- off the event loop ------------------------------------------------------------------

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As `add`. Cancelled, it is still written whole, or not at all."""
        return await in_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As `delete`."""
        await in_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """As `delete_nodes`."""
        await in_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        """As `clear`."""
        await in_thread(self.clear)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As `query`."""
        return await in_thread(self.query, query, **kwargs)

    async def aget_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
    ) -> list[BaseNode]:
        """As `get_nodes`."""
        return await in_thread(self.get_nodes, node_ids, filters)

    # -- keeping -----------------------------------------------------------------------------

    def persist(self, persist_path: str, fs: Files | None = None) -> None:
        """Note where the store is, for `from_persist_path`; what was deleted leaves its files.

        Raises:
            StoreError: The store is in memory.
        """
        note_place(self._opened.index.location, persist_path, fs)
        self._purge()

    @classmethod
    def from_persist_path(
        cls,
        persist_path: str,
        *,
        scope: Scope,
        fs: Files | None = None,
        encoder: str | Encoder | None = None,
    ) -> Self:
        """Open what `persist` noted; the scope is asked for again.

        Raises:
            StoreError: Nothing was noted there.
        """
        location = noted_place(persist_path, fs)
        return cls.open(location, scope=scope, encoder=encoder, create=False)

    @classmethod
    def from_persist_dir(
        cls,
        persist_dir: str,
        *,
        scope: Scope,
        namespace: str = "default",
        fs: Files | None = None,
        encoder: str | Encoder | None = None,
    ) -> Self:
        """As `from_persist_path`, by the folder that `StorageContext.persist` wrote."""
        path = f"{persist_dir}/{namespace}__vector_store.json"
        return cls.from_persist_path(path, scope=scope, fs=fs, encoder=encoder)

    def close(self) -> None:
        """Wait for what is being written, then let go of the index; its other views close too."""
        with self._opened.lock:
            self._purge()
            self._opened.index.close()

    def _purge(self) -> None:
        with self._opened.lock:
            if self._opened.deleted:
                self._store.purge()
                self._opened.deleted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[Any, Any]:
        """An open index stays in its process."""
        raise BadArgument(
            "a vector store holds an open index: in the other process, open it again by its place"
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Another view of the same index."""
        return self.model_copy()

    @property
    def _store(self) -> Any:
        return self._opened.index.store


def _no_options(options: dict[str, Any]) -> None:
    if options:
        raise BadArgument(
            f"this vector store has no option {', '.join(sorted(options))}: filters go into the "
            "query, a scope into with_scope"
        )
