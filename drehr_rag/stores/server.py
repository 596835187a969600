"""A Qdrant server, one node or a cluster: the same store over `qdrant-client`."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from drehr_rag._urls import checked_url
from drehr_rag.errors import StoreError, StoreMissing
from drehr_rag.stores._manifest import checked
from drehr_rag.stores._payload import KEYWORDS, NUMBERS, SCHEMA
from drehr_rag.stores._scoped import BRIEF, EXACT_BELOW, PAGE, Payload, Point, Row, ScopedStore
from drehr_rag.stores._where import Among, Between, Where
from drehr_rag.types import SparseVector, Vectors

COLLECTION = "drehr-rag"
"""Where a URL names no collection."""

REQUEST_BYTES = 4 * 2**20
"""Qdrant refuses requests over 32 MiB and its makers advise under 5 MB (ECOSYSTEM.md §2.2)."""

TIMEOUT = 60
"""Seconds a request may take."""

_ALL_VALUES = 2**31
"""Limit of a facet request: more values than a collection holds."""


def open_store(location: str, *, manifest: Mapping[str, Any] | None = None) -> "ServerStore":
    """Open a collection, or make it.

    Args:
        location: `http://host:6333` or `http://host:6333/collection`.
        manifest: What a new collection is to remember.

    Raises:
        BadArgument: The key would travel in the clear.
        StoreError: The server does not answer.
        StoreMissing: There is no such collection, and no manifest to make one with.
    """
    key = os.environ.get("QDRANT_API_KEY")
    url = urlsplit(checked_url(location, what="the Qdrant server", key=bool(key)))
    base = f"{url.scheme}://{url.netloc}"
    client = QdrantClient(url=base, api_key=key, timeout=TIMEOUT, check_compatibility=False)
    return ServerStore(client, url.path.strip("/") or COLLECTION, manifest=manifest)


class ServerStore(ScopedStore):
    """A collection of a Qdrant server.

    Args:
        client: A connected client; `QdrantClient(":memory:")` serves for tests.
        collection: Its name.
        manifest: What a new collection is to remember; must hold `dimension`.

    Raises:
        StoreError: The server does not answer.
        StoreMissing: There is no such collection, and no manifest to make one with.
        StoreDamaged: The collection was not made by this package.
        StoreOutdated: Another schema version.
    """

    def __init__(
        self, client: QdrantClient, collection: str, *, manifest: Mapping[str, Any] | None = None
    ) -> None:
        """Find or make the collection."""
        self._client = client
        self.collection = collection
        if self._call(client.collection_exists, collection):
            found = self._call(client.get_collection, collection)
            self.manifest = checked(found.config.metadata, f"collection {collection}")
            self._create_indexes(set(found.payload_schema or {}))
        elif manifest is None:
            raise StoreMissing(f"the server has no collection {collection}: index notes first")
        else:
            self.manifest = {**manifest, "schema": SCHEMA}
            self._create()

    def _create(self) -> None:
        dense = models.VectorParams(
            size=self.manifest["dimension"], distance=models.Distance.COSINE
        )
        sparse = models.SparseVectorParams(modifier=models.Modifier.IDF)
        self._call(
            self._client.create_collection,
            self.collection,
            vectors_config={"dense": dense},
            sparse_vectors_config={"lexical": sparse},
            metadata=self.manifest,
        )
        self._create_indexes(set())

    def _create_indexes(self, there: set[str]) -> None:
        """Those that are missing: whoever made the collection may have died before them."""
        for field in set(KEYWORDS) - there:
            schema = models.KeywordIndexParams(
                type=models.KeywordIndexType.KEYWORD, is_tenant=field == "patient_id"
            )
            self._call(self._client.create_payload_index, self.collection, field, schema)
        for field in set(NUMBERS) - there:
            kind = models.PayloadSchemaType.FLOAT
            self._call(self._client.create_payload_index, self.collection, field, kind)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _call(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        """A request; what goes wrong is named without what was sent, which may be note text."""
        try:
            return method(*args, **kwargs)
        except UnexpectedResponse as problem:
            what = f"answered {problem.status_code} {problem.reason_phrase}"
        except (ApiException, OSError) as problem:
            what = f"does not answer ({type(problem.__cause__ or problem).__name__})"
        raise StoreError(f"the Qdrant server {what} to {method.__name__} on {self.collection}")

    def _nearest(self, vectors: Vectors, where: Where, k: int) -> list[list[Row]]:
        return self._query([(v.tolist(), "dense") for v in vectors], where, k)

    def _matching(self, vectors: Sequence[SparseVector], where: Where, k: int) -> list[list[Row]]:
        return self._query([(_sparse(vector), "lexical") for vector in vectors], where, k)

    def _query(self, vectors: Sequence[tuple[Any, str]], where: Where, k: int) -> list[list[Row]]:
        exact = self._count(()) < EXACT_BELOW
        requests = [
            models.QueryRequest(
                query=vector,
                using=using,
                filter=_filter(where),
                limit=k,
                params=models.SearchParams(exact=exact),
                with_payload=True,
            )
            for vector, using in vectors
        ]
        found = self._call(self._client.query_batch_points, self.collection, requests)
        return [[(p.payload, p.score) for p in answer.points] for answer in found]

    def _scroll(self, where: Where, *, brief: bool = False) -> Iterator[Payload]:
        fields = list(BRIEF) if brief else True
        yield from (point.payload for point in self._each(where, fields, vectors=False))

    def _dense(self, where: Where) -> Iterator[tuple[Payload, Sequence[float]]]:
        points = self._each(where, True, vectors=["dense"])
        yield from ((point.payload, point.vector["dense"]) for point in points)

    def _each(self, where: Where, fields: Any, *, vectors: Any) -> Iterator[Any]:
        offset = None
        while True:
            points, offset = self._call(
                self._client.scroll,
                self.collection,
                scroll_filter=_filter(where),
                limit=PAGE,
                offset=offset,
                with_payload=fields,
                with_vectors=vectors,
            )
            yield from points
            if offset is None:
                return

    def _count(self, where: Where) -> int:
        answer = self._call(
            self._client.count, self.collection, count_filter=_filter(where), exact=True
        )
        return int(answer.count)

    def _facet(self, field: str, where: Where) -> dict[str, int]:
        answer = self._call(
            self._client.facet,
            self.collection,
            field,
            facet_filter=_filter(where),
            limit=_ALL_VALUES,
            exact=True,
        )
        return {str(hit.value): hit.count for hit in answer.hits}

    def _write(self, points: Sequence[Point]) -> None:
        for batch in _batches(points):
            self._call(self._client.upsert, self.collection, batch, wait=True)

    def _erase(self, point_ids: Sequence[str]) -> None:
        selector = models.PointIdsList(points=list(point_ids))
        self._call(self._client.delete, self.collection, selector, wait=True)


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _batches(points: Sequence[Point]) -> Iterator[list[models.PointStruct]]:
    """Batches by bytes: a number takes about 20 as JSON text."""
    batch: list[models.PointStruct] = []
    size = 0
    for point_id, dense, sparse, payload in points:
        vector: dict[str, Any] = {"dense": list(dense), "lexical": _sparse(sparse)}
        own = 20 * (len(dense) + 2 * len(sparse.indices)) + len(json.dumps(payload))
        if batch and size + own > REQUEST_BYTES:
            yield batch
            batch, size = [], 0
        size += own
        batch.append(models.PointStruct(id=point_id, vector=vector, payload=payload))
    if batch:
        yield batch


def _filter(where: Where) -> models.Filter:
    must: list[Any] = []
    must_not: list[Any] = []
    for condition in where:
        field = condition.field
        if isinstance(condition, Among):
            match = models.MatchAny(any=sorted(condition.values))
            must.append(models.FieldCondition(key=field, match=match))
        elif isinstance(condition, Between):
            bounds = models.Range(gte=condition.low, lte=condition.high)
            must.append(models.FieldCondition(key=field, range=bounds))
        else:
            must_not.append(models.IsEmptyCondition(is_empty=models.PayloadField(key=field)))
            if condition.values:
                match = models.MatchAny(any=sorted(condition.values))
                must_not.append(models.FieldCondition(key=field, match=match))
    return models.Filter(must=must or None, must_not=must_not or None)
