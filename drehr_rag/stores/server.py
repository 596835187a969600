"""A Qdrant server, one node or a cluster: the same store over `qdrant-client`."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

from qdrant_client import QdrantClient, models

from drehr_rag.errors import BadArgument, EncoderMismatch, StoreError, StoreMissing
from drehr_rag.stores._link import Link, connect
from drehr_rag.stores._manifest import checked
from drehr_rag.stores._options import Access, Layout, layout_of
from drehr_rag.stores._payload import KEYWORDS, NUMBERS, SCHEMA
from drehr_rag.stores._qdrant_models import (
    NUMBER_BYTES,
    REQUEST_BYTES,
    batches,
    collection,
    conditions,
    search_params,
    sparse,
    to_point,
)
from drehr_rag.stores._scoped import (
    BRIEF,
    EXACT_BELOW,
    PAGE,
    PATIENT,
    POINT,
    Fields,
    Payload,
    Point,
    Row,
    ScopedStore,
    of_one_patient,
    only,
)
from drehr_rag.stores._server_snapshots import fetch_snapshot, send_snapshot
from drehr_rag.stores._where import Except, Where
from drehr_rag.types import SparseVector, Vectors

COUNTED_FOR = 60.0
"""Seconds for which a look at the collection holds: how many chunks, and of which encoder."""


def open_store(
    location: str,
    *,
    manifest: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    access: Access | None = None,
) -> "ServerStore":
    """Open a collection, or make it.

    Args:
        location: `http://host:6333` or `http://host:6333/collection`; an alias serves as well.
        manifest: What a new collection is to remember.
        layout: How a new collection keeps its vectors.
        access: How the server is talked to.

    Raises:
        BadArgument: The key would travel in the clear.
        StoreError: The server does not answer, or refuses the key.
        StoreMissing: There is no such collection, and no manifest to make one with.
    """
    link, name = connect(location, access or Access())
    try:
        return ServerStore(link, name, manifest=manifest, layout=layout)
    except BaseException:
        link.client.close()
        raise


class ServerStore(ScopedStore):
    """A collection of a Qdrant server.

    Args:
        link: The server; a client such as `QdrantClient(":memory:")` serves for tests.
        collection: Its name, or an alias of it.
        manifest: What a new collection is to remember; must hold `dimension`.
        layout: How a new collection keeps its vectors.

    Raises:
        StoreError: The server does not answer.
        StoreMissing: There is no such collection, and no manifest to make one with.
        StoreDamaged: The collection was not made by this package.
        StoreOutdated: Another schema version.
    """

    def __init__(
        self,
        link: Link | QdrantClient,
        collection: str,
        *,
        manifest: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
    ) -> None:
        """Find or make the collection."""
        super().__init__()
        self._link = link if isinstance(link, Link) else Link(link, Access())
        self._client = self._link.client
        self.collection = collection
        found = self._find()
        if found is None and manifest is None:
            raise StoreMissing(f"the server has no collection {collection}: index notes first")
        if found is None:
            found = self._create(manifest or {}, layout or Layout())
        self.manifest = checked(found.config.metadata, f"collection {collection}")
        self.layout = layout_of(self.manifest)
        self._counted: tuple[float, int] | None = None
        self._create_indexes(set(found.payload_schema or {}))

    # -- making ----------------------------------------------------------------------------------

    def _find(self) -> Any:
        """What the server knows of the collection; asking by name alone would miss aliases."""
        try:
            return self._link.call(self._client.get_collection, self.collection)
        except StoreMissing:
            return None

    def _create(self, manifest: Mapping[str, Any], layout: Layout) -> Any:
        layout = layout.resolved(manifest["dimension"])
        content = {**manifest, "schema": SCHEMA, "layout": layout.model_dump()}
        how = collection(layout, manifest["dimension"])
        try:
            self._call(self._client.create_collection, metadata=content, **how)
        except StoreError:  # made meanwhile: by a try whose answer was lost, or by somebody else
            found = self._find()
            if found is None or found.config.metadata != content:
                raise
            return found
        return self._find()

    def _create_indexes(self, there: set[str]) -> None:
        """Those that are missing: whoever made the collection may have died before them."""
        for field in set(KEYWORDS) - there:
            schema = models.KeywordIndexParams(
                type=models.KeywordIndexType.KEYWORD, is_tenant=field == PATIENT
            )
            self._call(self._client.create_payload_index, field_name=field, field_schema=schema)
        for field in set(NUMBERS) - there:
            kind = models.PayloadSchemaType.FLOAT
            self._call(self._client.create_payload_index, field_name=field, field_schema=kind)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _call(self, method: Any, **kwargs: Any) -> Any:
        return self._link.call(method, collection_name=self.collection, **kwargs)

    def _read(self, method: Any, **kwargs: Any) -> Any:
        consistency: Any = self._link.access.read_consistency
        if isinstance(consistency, str):
            consistency = models.ReadConsistencyType(consistency)
        return self._call(method, consistency=consistency, **kwargs)

    # -- reading ---------------------------------------------------------------------------------

    def _nearest(
        self, vectors: Vectors, where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        return self._query([(v.tolist(), "dense", where) for v in vectors], k, fields=fields)

    def _matching(
        self, vectors: Sequence[SparseVector], where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        asked = [(sparse(vector), "lexical", where) for vector in vectors]
        return self._query(asked, k, fields=fields)

    def _rows_of(
        self, patients: Sequence[str], kind: str, vector: Any, where: Where, per_group: int
    ) -> list[list[Row]]:
        """As elsewhere, in one request."""
        query = vector.tolist() if kind == "dense" else sparse(vector)
        asked = [(query, kind, only(patient, where)) for patient in patients]
        return self._query(asked, per_group)

    def _query(
        self, asked: Sequence[tuple[Any, str, Where]], k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        if not asked:
            return []
        requests = [
            models.QueryRequest(
                query=vector,
                using=using,
                filter=conditions(where),
                limit=k,
                params=self._params(where),
                with_payload=True if fields is None else list(fields) or False,
            )
            for vector, using, where in asked
        ]
        found = self._read(self._client.query_batch_points, requests=requests)
        if fields is not None and not fields:
            return [[({POINT: str(p.id)}, p.score) for p in answer.points] for answer in found]
        return [[(p.payload, p.score) for p in answer.points] for answer in found]

    def _params(self, where: Where) -> models.SearchParams:
        access = self._link.access
        few = self._size() < EXACT_BELOW or of_one_patient(where)
        return search_params(
            self.layout, access, exact=few if access.exact is None else access.exact
        )

    def _size(self) -> int:
        """About how many chunks there are, as of a minute ago at most.

        Raises:
            EncoderMismatch: The alias stands for a collection of another encoder by now.
        """
        now = monotonic()
        if self._counted is None or now - self._counted[0] > COUNTED_FOR:
            found = self._call(self._client.get_collection)
            if _encoder(found.config.metadata) != _encoder(self.manifest):
                raise EncoderMismatch(
                    f"{self.collection} stands for another collection by now, which was made with "
                    "another encoder: open the index again"
                )
            self._counted = (now, int(found.points_count or 0))
        return self._counted[1]

    def _groups(
        self, kind: str, vector: Any, where: Where, k: int, per_group: int
    ) -> list[list[Row]]:
        """By the server's own grouping.

        What it gives is right and best first, but it gives up after some rounds where few
        patients hold most of the best chunks: then it is asked again for the rest.
        """
        groups: list[list[Row]] = []
        while len(groups) < k:
            known = frozenset(rows[0][0][PATIENT] for rows in groups)
            rest = (*where, Except(PATIENT, known))
            found = self._grouped(kind, vector, rest, k - len(groups), per_group)
            if not found:
                break
            groups += found
        short = [place for place, rows in enumerate(groups) if len(rows) < per_group]
        patients = [groups[place][0][0][PATIENT] for place in short]
        whole = self._rows_of(patients, kind, vector, where, per_group)
        for place, rows in zip(short, whole, strict=True):
            groups[place] = rows
        return groups

    def _grouped(
        self, kind: str, vector: Any, where: Where, k: int, per_group: int
    ) -> list[list[Row]]:
        answer = self._read(
            self._client.query_points_groups,
            group_by=PATIENT,
            query=vector.tolist() if kind == "dense" else sparse(vector),
            using=kind,
            query_filter=conditions(where),
            search_params=self._params(where),
            limit=k,
            group_size=per_group,
            with_payload=True,
        )
        return [[(hit.payload, hit.score) for hit in group.hits] for group in answer.groups]

    def _scroll(self, where: Where, *, brief: bool = False) -> Iterator[Payload]:
        wanted: Any = list(BRIEF) if brief else True
        for records in self._pages(PAGE, with_payload=wanted, scroll_filter=conditions(where)):
            yield from (record.payload or {} for record in records)

    def _dense(self, where: Where) -> Iterator[tuple[Payload, Sequence[float]]]:
        shown = {"with_payload": True, "with_vectors": ["dense"]}
        for records in self._pages(self._rows(), scroll_filter=conditions(where), **shown):
            for record in records:
                vector: Any = record.vector
                yield record.payload or {}, vector["dense"]

    def _all(self) -> Iterator[list[Point]]:
        for records in self._pages(self._rows(), with_payload=True, with_vectors=True):
            yield [to_point(record) for record in records]

    def _rows(self) -> int:
        """With their vectors, in one answer of bounded size."""
        dimension: int = self.manifest["dimension"]
        return max(1, min(PAGE, REQUEST_BYTES // (NUMBER_BYTES * dimension)))

    def _pages(self, size: int, **kwargs: Any) -> Iterator[list[models.Record]]:
        offset = None
        while True:
            records, offset = self._read(self._client.scroll, limit=size, offset=offset, **kwargs)
            yield records
            if offset is None:
                return

    def _payloads(self, point_ids: Sequence[str]) -> dict[str, Payload]:
        records = self._read(self._client.retrieve, ids=list(point_ids), with_payload=True)
        return {str(record.id): record.payload or {} for record in records}

    def _fetch(self, point_ids: Sequence[str]) -> list[Point]:
        records = self._read(
            self._client.retrieve, ids=list(point_ids), with_payload=True, with_vectors=True
        )
        return [to_point(record) for record in records]

    def _count(self, where: Where) -> int:
        answer = self._call(self._client.count, count_filter=conditions(where), exact=True)
        return int(answer.count)

    def _facet(self, field: str, where: Where) -> dict[str, int]:
        limit = self._count(where)  # no more values than chunks; the server reserves memory for it
        if not limit:
            return {}
        answer = self._read(
            self._client.facet, key=field, facet_filter=conditions(where), limit=limit, exact=True
        )
        return {str(hit.value): hit.count for hit in answer.hits}

    # -- writing ---------------------------------------------------------------------------------

    def _write(self, points: Sequence[Point]) -> None:
        """Batches of bounded size, several at a time; each may be sent twice without harm."""
        self._counted = None  # it grows; and another encoder's collection is refused at once
        self._size()
        with ThreadPoolExecutor(self._link.access.uploads) as pool:
            for _ in pool.map(self._put, batches(points)):
                pass
        self._counted = None

    def _put(self, batch: list[models.PointStruct]) -> None:
        self._call(self._client.upsert, points=batch, wait=True, ordering=self._ordering())

    def _erase(self, point_ids: Sequence[str]) -> None:
        selector = models.PointIdsList(points=list(point_ids))
        ordering = self._ordering()
        self._call(self._client.delete, points_selector=selector, wait=True, ordering=ordering)

    def snapshot(self, file: Path) -> None:
        """Write the whole collection into one file, from which `restore` makes it again.

        Raises:
            StoreError: The file exists, or the server is a cluster.
        """
        fetch_snapshot(self._link, self.collection, file)

    def _ordering(self) -> models.WriteOrdering | None:
        ordering = self._link.access.write_ordering
        return models.WriteOrdering(ordering) if ordering else None


def _encoder(manifest: Any) -> Any:
    """What decides a collection's vectors; none where a store is used without an index."""
    encoder = (manifest or {}).get("encoder") or {}
    return encoder.get("fingerprint")


def restore(file: Path, location: str, *, access: Access | None = None) -> None:
    """Make a new collection from a snapshot.

    Raises:
        StoreError: The collection exists, the server is a cluster, or it refuses the file.
        StoreDamaged: The snapshot is of a collection that this package did not make.
    """
    send_snapshot(file, location, access or Access())
    open_store(location, access=access).close()


def switch(alias: str, to: str, *, access: Access | None = None) -> str | None:
    """Let an alias stand for another collection, in one step: no search in between fails.

    Args:
        alias: `http://host:6333/alias`; made if it does not exist.
        to: The collection's name, a store of this package.
        access: How the server is talked to.

    Returns:
        The collection that it stood for before.

    Raises:
        StoreMissing: There is no such collection.
        BadArgument: A collection has the alias's name.
    """
    link, name = connect(alias, access or Access())
    try:
        ServerStore(link, to)
        known = link.call(link.client.get_aliases).aliases
        before = next((a.collection_name for a in known if a.alias_name == name), None)
        if before is None and link.call(link.client.collection_exists, collection_name=name):
            raise BadArgument(f"{name} is a collection itself and cannot stand for {to}")
        make = models.CreateAlias(collection_name=to, alias_name=name)
        changes: list[Any] = [models.CreateAliasOperation(create_alias=make)]
        if before is not None:
            gone = models.DeleteAlias(alias_name=name)
            changes.insert(0, models.DeleteAliasOperation(delete_alias=gone))
        link.call(link.client.update_collection_aliases, change_aliases_operations=changes)
    finally:
        link.client.close()
    return before
