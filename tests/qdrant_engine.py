"""What answers behind the loopback: `QdrantClient(":memory:")`, and emulations of what it lacks.

Run by `:memory:` (Qdrant's own Python code): collections, points, queries, scroll, count, facets,
aliases.

Emulated, not Qdrant: groups (`qdrant_groups`: as a server forms them), payload indexes (remembered,
shown in `payload_schema`, asked for by facets and by strict mode), the settings of a collection
(remembered and shown, without effect), strict mode (`qdrant_strict_mode`), `wait` (everything is
done at once, only the status differs), snapshots (a JSON file of points and settings), clusters and
shards (one node, every shard on it), versions, health, telemetry.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qdrant_calls import Call
from qdrant_client import QdrantClient, models
from qdrant_groups import grouped
from qdrant_strict_mode import StrictMode

PEER = 1
"""The one node's number."""


class Refused(Exception):
    """The server says no.

    Args:
        status: HTTP status.
        message: What stands in the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Unsupported(Exception):
    """The loopback can not do what Qdrant can."""


class Engine:
    """One node's worth of collections.

    Args:
        strict: Refuse filters over fields without an index, in every collection.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.local = QdrantClient(":memory:")
        self.strict = strict
        self._lock = threading.RLock()
        self._made: dict[str, models.CreateCollection] = {}
        self._indexes: dict[str, dict[str, Any]] = {}
        self._snapshots: dict[str, dict[str, bytes]] = {}
        self._shard_keys: dict[str, list[Any]] = {}

    def execute(
        self, call: Call, path: Mapping[str, str], query: Mapping[str, Any], body: Any
    ) -> Any:
        """Do what was asked; the result as it stands in the answer's envelope.

        Raises:
            Refused: As the server would.
            Unsupported: The loopback can not do this.
        """
        do: Callable[..., Any] | None = getattr(self, f"_{call.name}", None)
        if do is None:
            raise Unsupported(f"the loopback can not do {call.name}")
        with self._lock:
            name = path.get("collection_name")
            if name is not None and call.name not in NEED_NO_COLLECTION:
                self._strict_mode(self._existing(name)).check(call.name, query, body)
            try:
                return do(*path.values(), query=query, body=body)
            except ValueError as problem:  # how `:memory:` refuses
                raise Refused(400, f"Wrong input: {problem}") from None

    # -- collections -------------------------------------------------------------------------

    def _existing(self, name: str) -> str:
        """The collection of this name or alias."""
        aliases = {a.alias_name: a.collection_name for a in self.local.get_aliases().aliases}
        name = aliases.get(name, name)
        if name not in self._made:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return name

    def _strict_mode(self, name: str) -> StrictMode:
        own = self._made[name].strict_mode_config
        settings = own if own and own.enabled else models.StrictModeConfig()
        if self.strict:
            forced = {"unindexed_filtering_retrieve": False, "unindexed_filtering_update": False}
            settings = settings.model_copy(update=forced)
        return StrictMode(settings, self._indexes[name], refuse=Refused)

    def _collection_exists(self, name: str, **_: Any) -> Any:
        return {"exists": self.local.collection_exists(name)}

    def _get_collections(self, **_: Any) -> Any:
        return self.local.get_collections()

    def _get_collection(self, name: str, **_: Any) -> Any:
        name = self._existing(name)
        info = self.local.get_collection(name)
        made = self._made[name]
        info.payload_schema = {
            field: models.PayloadIndexInfo(
                data_type=getattr(schema, "type", schema),
                params=schema if hasattr(schema, "type") else None,
                points=self._holding(name, field),
            )
            for field, schema in self._indexes[name].items()
        }
        config = info.config
        config.params = models.CollectionParams()  # with the server's defaults
        _update(config.params, made)
        _update(config.hnsw_config, made.hnsw_config)
        _update(config.optimizer_config, made.optimizers_config)
        config.quantization_config = made.quantization_config
        if made.strict_mode_config is not None:
            config.strict_mode_config = models.StrictModeConfigOutput(
                **made.strict_mode_config.model_dump()
            )
        return info

    def _holding(self, name: str, field: str) -> int:
        empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
        return self.local.count(name, count_filter=models.Filter(must_not=[empty])).count

    def _create_collection(self, name: str, *, body: models.CreateCollection, **_: Any) -> Any:
        if self.local.collection_exists(name):
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self.local.create_collection(
            name,
            vectors_config=body.vectors,
            sparse_vectors_config=body.sparse_vectors,
            metadata=body.metadata,
        )
        self._made[name], self._indexes[name], self._shard_keys[name] = body, {}, []
        return True

    def _update_collection(self, name: str, *, body: models.UpdateCollection, **_: Any) -> Any:
        name = self._existing(name)
        self.local.update_collection(
            name,
            vectors_config=body.vectors,
            sparse_vectors_config=body.sparse_vectors,
            metadata=body.metadata,
        )
        made = self._made[name]
        for vector, changes in (body.sparse_vectors or {}).items():
            _update(made.sparse_vectors[vector], changes)
        for part in ("hnsw_config", "optimizers_config", "strict_mode_config"):
            if getattr(made, part) is None:
                setattr(made, part, getattr(body, part))
            else:
                _update(getattr(made, part), getattr(body, part))
        if body.quantization_config is not None:
            off = body.quantization_config == models.Disabled.DISABLED
            made.quantization_config = None if off else body.quantization_config
        _update(made, body.params)
        for vector, changes in (body.vectors or {}).items():
            _update(made.vectors[vector], changes)
        return True

    def _delete_collection(self, name: str, **_: Any) -> Any:
        for store in (self._made, self._indexes, self._shard_keys):
            store.pop(name, None)
        return self.local.delete_collection(name)

    def _create_field_index(
        self, name: str, *, body: models.CreateFieldIndex, query: Any, **_: Any
    ) -> Any:
        schema = body.field_schema or models.PayloadSchemaType.KEYWORD
        self._indexes[self._existing(name)][body.field_name] = schema
        return _done(query)

    def _delete_field_index(self, name: str, field: str, *, query: Any, **_: Any) -> Any:
        self._indexes[self._existing(name)].pop(field, None)
        return _done(query)

    # -- aliases -----------------------------------------------------------------------------

    def _update_aliases(self, *, body: models.ChangeAliasesOperation, **_: Any) -> Any:
        return self.local.update_collection_aliases(body.actions)

    def _get_collections_aliases(self, **_: Any) -> Any:
        return self.local.get_aliases()

    def _get_collection_aliases(self, name: str, **_: Any) -> Any:
        return self.local.get_collection_aliases(name)

    # -- reading -----------------------------------------------------------------------------

    def _query_points(self, name: str, *, body: models.QueryRequest, **_: Any) -> Any:
        return self.local.query_points(name, **_search(body))

    def _query_batch_points(self, name: str, *, body: models.QueryRequestBatch, **_: Any) -> Any:
        return [self.local.query_points(name, **_search(one)) for one in body.searches]

    def _query_points_groups(self, name: str, *, body: models.QueryGroupsRequest, **_: Any) -> Any:
        if body.prefetch or body.with_lookup:
            raise Unsupported("the loopback can not group with prefetch or lookup")
        search = {**_search(body), "with_payload": True}
        own = body.filter or models.Filter()

        def find(more: models.Filter, limit: int) -> list[Any]:
            both = models.Filter(must=[own, more])
            return self.local.query_points(
                name, **search | {"query_filter": both, "limit": limit}
            ).points

        limit, size = (
            default if asked is None else asked
            for asked, default in ((body.limit, 10), (body.group_size, 3))
        )
        groups = grouped(find, body.group_by, limit=limit, size=size)
        for group in groups if body.with_payload is not True else ():
            ids = [hit.id for hit in group.hits]
            held = self.local.retrieve(name, ids, body.with_payload or False)
            payloads = {record.id: record.payload for record in held}
            for hit in group.hits:
                hit.payload = payloads[hit.id]
        return {"groups": groups}

    def _scroll_points(self, name: str, *, body: models.ScrollRequest, **_: Any) -> Any:
        points, offset = self.local.scroll(
            name,
            scroll_filter=body.filter,
            limit=10 if body.limit is None else body.limit,
            order_by=body.order_by,
            offset=body.offset,
            with_payload=True if body.with_payload is None else body.with_payload,
            with_vectors=body.with_vector or False,
        )
        return {"points": points, "next_page_offset": offset}

    def _count_points(self, name: str, *, body: models.CountRequest, **_: Any) -> Any:
        return self.local.count(name, count_filter=body.filter, exact=True)

    def _facet(self, name: str, *, body: models.FacetRequest, **_: Any) -> Any:
        if body.key not in self._indexes[self._existing(name)]:
            raise Refused(400, f"Bad request: No appropriate index for faceting: `{body.key}`")
        limit = 10 if body.limit is None else body.limit
        return self.local.facet(name, body.key, facet_filter=body.filter, limit=limit)

    def _get_points(self, name: str, *, body: models.PointRequest, **_: Any) -> Any:
        payload = True if body.with_payload is None else body.with_payload
        return self.local.retrieve(name, body.ids, payload, body.with_vector or False)

    def _get_point(self, name: str, point: str, **_: Any) -> Any:
        found = self.local.retrieve(name, [int(point) if point.isdigit() else point], True, True)
        if not found:
            raise Refused(404, f"Not found: Point with id {point} does not exists!")
        return found[0]

    # -- writing -----------------------------------------------------------------------------

    def _upsert_points(self, name: str, *, body: Any, query: Any, **_: Any) -> Any:
        points = body.points if isinstance(body, models.PointsList) else body.batch
        if not points:
            raise Refused(400, "Bad request: Empty update request")
        changes = {"update_filter": body.update_filter, "update_mode": body.update_mode}
        self.local.upsert(name, points, **changes)
        return _done(query)

    def _delete_points(self, name: str, *, body: Any, query: Any, **_: Any) -> Any:
        self.local.delete(name, body)
        return _done(query)

    def _batch_update(
        self, name: str, *, body: models.UpdateOperations, query: Any, **_: Any
    ) -> Any:
        self.local.batch_update_points(name, body.operations)
        return [_done(query) for _ in body.operations]

    def _set_payload(self, name: str, *, body: models.SetPayload, query: Any, **_: Any) -> Any:
        selector = body.filter if body.points is None else body.points
        self.local.set_payload(name, body.payload, selector, key=body.key)
        return _done(query)

    # -- snapshots (emulated) ----------------------------------------------------------------

    def _list_snapshots(self, name: str, **_: Any) -> Any:
        taken = self._snapshots.get(self._existing(name), {})
        return [_described(snapshot, content) for snapshot, content in taken.items()]

    def _create_snapshot(self, name: str, **_: Any) -> Any:
        name = self._existing(name)
        points, _ = self.local.scroll(name, limit=2**31, with_vectors=True)
        made = self._made[name].model_dump(mode="json", exclude_none=True)
        made["metadata"] = self.local.get_collection(name).config.metadata
        held = {
            "collection": made,
            "indexes": {f: _plain(schema) for f, schema in self._indexes[name].items()},
            "points": [
                p.model_dump(mode="json", include={"id", "vector", "payload"}) for p in points
            ],
        }
        taken = self._snapshots.setdefault(name, {})
        snapshot = f"{name}-{len(taken) + 1}-2026-11-21-00-00-00.snapshot"
        taken[snapshot] = json.dumps(held).encode()
        return _described(snapshot, taken[snapshot])

    def _delete_snapshot(self, name: str, snapshot: str, **_: Any) -> Any:
        self._snapshot(name, snapshot)
        del self._snapshots[name][snapshot]
        return True

    def _get_snapshot(self, name: str, snapshot: str, **_: Any) -> bytes:
        return self._snapshot(name, snapshot)

    def _snapshot(self, name: str, snapshot: str) -> bytes:
        taken = self._snapshots.get(name, {})
        if snapshot not in taken:
            raise Refused(404, f"Not found: Snapshot {snapshot} not found")
        return taken[snapshot]

    def _recover_from_snapshot(self, name: str, *, body: models.SnapshotRecover, **_: Any) -> Any:
        place = urlsplit(body.location)
        if place.scheme == "file":
            content = Path(place.path).read_bytes()
        elif place.scheme in ("http", "https"):  # of this very server: it fetches from nobody else
            _, _, taken_of, _, snapshot = place.path.split("/")
            content = self._snapshot(taken_of, snapshot)
        else:
            raise Refused(400, "Bad request: Invalid snapshot URI, file path must be absolute")
        return self._recover(name, content, body.checksum)

    def _recover_from_uploaded_snapshot(
        self, name: str, *, query: Mapping[str, Any], body: tuple[str, bytes], **_: Any
    ) -> Any:
        kind, raw = body
        message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
        parts = message.get_payload()
        if isinstance(parts, str) or parts[0].get_param("name", header="content-disposition") != (
            "snapshot"
        ):
            raise Refused(400, "Bad request: there is no file `snapshot` in the form")
        return self._recover(name, parts[0].get_payload(decode=True), query.get("checksum"))

    def _recover(self, name: str, content: bytes, checksum: str | None) -> bool:
        actual = hashlib.sha256(content).hexdigest()
        if checksum not in (None, actual):
            raise Refused(400, f"Checksum mismatch: expected {checksum}, actual {actual}")
        try:
            held = json.loads(content)
        except ValueError:
            raise Refused(400, "Bad request: the file is no snapshot") from None
        self._delete_collection(name)
        self._create_collection(name, body=models.CreateCollection(**held["collection"]))
        for field, schema in held["indexes"].items():
            made = models.CreateFieldIndex(field_name=field, field_schema=schema)
            self._create_field_index(name, query={}, body=made)
        points = [models.PointStruct(**point) for point in held["points"]]
        if points:
            with self._vectors_as_they_are(name):
                self.local.upsert(name, points)
        return True

    @contextmanager
    def _vectors_as_they_are(self, name: str) -> Iterator[None]:
        """Keep `:memory:` from normalising again what it normalised before: bits would differ."""
        params = self.local._client.collections[name].config.vectors
        dense = list(params.values()) if isinstance(params, dict) else [params]
        cosine = [one for one in dense if one.distance == models.Distance.COSINE]
        for one in cosine:
            one.distance = models.Distance.DOT
        yield
        for one in cosine:
            one.distance = models.Distance.COSINE

    # -- cluster (emulated) ------------------------------------------------------------------

    def _cluster_status(self, **_: Any) -> Any:
        return {"status": "disabled"}

    def _collection_cluster_info(self, name: str, **_: Any) -> Any:
        name = self._existing(name)
        shards = self._made[name].shard_number or 1
        points = self.local.count(name).count
        held = [points // shards + (shard < points % shards) for shard in range(shards)]
        return {
            "peer_id": PEER,
            "shard_count": shards,
            "local_shards": [
                {"shard_id": shard, "points_count": count, "state": "Active"}
                for shard, count in enumerate(held)
            ],
            "remote_shards": [],
            "shard_transfers": [],
        }

    def _create_shard_key(self, name: str, *, body: models.CreateShardingKey, **_: Any) -> Any:
        self._shard_keys[self._existing(name)].append(body.shard_key)
        return True

    def _list_shard_keys(self, name: str, **_: Any) -> Any:
        return {"shard_keys": [{"key": key} for key in self._shard_keys[self._existing(name)]]}

    # -- the node (emulated) -----------------------------------------------------------------

    def _root(self, **_: Any) -> Any:
        return self.local.info()

    def _healthz(self, **_: Any) -> str:
        return "healthz check passed"

    _livez = _readyz = _healthz

    def _telemetry(self, **_: Any) -> Any:
        app = {"name": "qdrant", "version": self.local.info().version, "startup": NOW}
        return {
            "id": "loopback",
            "app": app,
            "collections": {"number_of_collections": len(self._made)},
        }


NOW = "2026-11-21T00:00:00Z"

NEED_NO_COLLECTION = {
    "collection_exists",
    "create_collection",
    "delete_collection",
    "get_collection_aliases",
    "recover_from_snapshot",
    "recover_from_uploaded_snapshot",
    "get_snapshot",
    "delete_snapshot",
}
"""Calls that name a collection which need not be there."""


def _search(body: Any) -> dict[str, Any]:
    """Arguments of `query_points`, with the server's defaults: no payload unless asked for."""
    return {
        "query": body.query,
        "using": body.using,
        "prefetch": body.prefetch,
        "query_filter": body.filter,
        "search_params": body.params,
        "limit": 10 if body.limit is None else body.limit,
        "offset": getattr(body, "offset", None),
        "with_payload": body.with_payload if body.with_payload is not None else False,
        "with_vectors": body.with_vector if body.with_vector is not None else False,
        "score_threshold": body.score_threshold,
        "lookup_from": body.lookup_from,
    }


def _done(query: Mapping[str, Any]) -> models.UpdateResult:
    """Without `wait` the server only says that it will do it; the loopback has done it already."""
    waited = query.get("wait", False)
    status = models.UpdateStatus.COMPLETED if waited else models.UpdateStatus.ACKNOWLEDGED
    return models.UpdateResult(operation_id=0, status=status)


def _described(name: str, content: bytes) -> dict[str, Any]:
    checksum = hashlib.sha256(content).hexdigest()
    return {
        "name": name,
        "creation_time": NOW[:-1],
        "size": len(content),
        "checksum": checksum,
    }


def _plain(schema: Any) -> Any:
    return schema.model_dump(mode="json") if hasattr(schema, "type") else str(schema)


def _update(model: Any, changes: Any) -> None:
    """Set what the other model, or None, was given and this one has a place for."""
    if changes is not None:
        for name in changes.model_fields_set & type(model).model_fields.keys():
            if getattr(changes, name) is not None:
                setattr(model, name, getattr(changes, name))
