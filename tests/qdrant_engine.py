"""What answers behind the loopback: `QdrantClient(":memory:")`, and emulations of what it lacks.

Run by `:memory:` (Qdrant's own Python code): collections, points, queries, scroll, count, facets,
aliases.

Emulated, not Qdrant: groups (`qdrant_groups`: as a server forms them), payload indexes (remembered,
shown in `payload_schema`, asked for by facets and by strict mode), the settings of a collection
(remembered and shown, without effect), strict mode (`qdrant_strict_mode`), `wait` (everything is
done at once, only the status differs), snapshots (`qdrant_snapshots`), clusters and shards,
versions, health, telemetry (`qdrant_node`).
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from qdrant_calls import Call
from qdrant_client import QdrantClient, models
from qdrant_groups import grouped
from qdrant_node import Node
from qdrant_refusal import Refused, Unsupported
from qdrant_snapshots import Snapshots
from qdrant_strict_mode import StrictMode


class Engine:
    """One node's worth of collections.

    Args:
        strict: Refuse filters over fields without an index, in every collection.
        peers: Nodes of the cluster that it says it is one of.

    Attributes:
        local: What runs it.
        made: The settings of each collection.
        indexes: The payload indexes of each collection.
    """

    def __init__(self, *, strict: bool = False, peers: int = 1) -> None:
        self.local = QdrantClient(":memory:")
        self.strict = strict
        self._lock = threading.RLock()
        self.made: dict[str, models.CreateCollection] = {}
        self.indexes: dict[str, dict[str, Any]] = {}
        self._parts = (self, Snapshots(self), Node(self, peers=peers))

    def execute(
        self, call: Call, path: Mapping[str, str], query: Mapping[str, Any], body: Any
    ) -> Any:
        """Do what was asked; the result as it stands in the answer's envelope.

        Raises:
            Refused: As the server would.
            Unsupported: The loopback can not do this.
        """
        able = [part for part in self._parts if hasattr(part, call.name)]
        if not able:
            raise Unsupported(f"the loopback can not do {call.name}")
        do: Callable[..., Any] = getattr(able[0], call.name)
        with self._lock:
            name = path.get("collection_name")
            if name is not None and call.name not in NEED_NO_COLLECTION:
                self._strict_mode(self.existing(name)).check(call.name, query, body)
            try:
                return do(*path.values(), query=query, body=body)
            except ValueError as problem:  # how `:memory:` refuses
                raise Refused(400, f"Wrong input: {problem}") from None

    # -- collections -------------------------------------------------------------------------

    def existing(self, name: str) -> str:
        """The collection of this name or alias."""
        aliases = {a.alias_name: a.collection_name for a in self.local.get_aliases().aliases}
        name = aliases.get(name, name)
        if name not in self.made:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return name

    def _strict_mode(self, name: str) -> StrictMode:
        own = self.made[name].strict_mode_config
        settings = own if own and own.enabled else models.StrictModeConfig()
        if self.strict:
            forced = {"unindexed_filtering_retrieve": False, "unindexed_filtering_update": False}
            settings = settings.model_copy(update=forced)
        return StrictMode(settings, self.indexes[name])

    def collection_exists(self, name: str, **_: Any) -> Any:
        return {"exists": self.local.collection_exists(name)}

    def get_collections(self, **_: Any) -> Any:
        return self.local.get_collections()

    def get_collection(self, name: str, **_: Any) -> Any:
        name = self.existing(name)
        info = self.local.get_collection(name)
        made = self.made[name]
        info.payload_schema = {
            field: models.PayloadIndexInfo(
                data_type=getattr(schema, "type", schema),
                params=schema if hasattr(schema, "type") else None,
                points=self._holding(name, field),
            )
            for field, schema in self.indexes[name].items()
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

    def create_collection(self, name: str, *, body: models.CreateCollection, **_: Any) -> Any:
        if self.local.collection_exists(name):
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self.local.create_collection(
            name,
            vectors_config=body.vectors,
            sparse_vectors_config=body.sparse_vectors,
            metadata=body.metadata,
        )
        self.made[name], self.indexes[name] = body, {}
        return True

    def update_collection(self, name: str, *, body: models.UpdateCollection, **_: Any) -> Any:
        name = self.existing(name)
        self.local.update_collection(
            name,
            vectors_config=body.vectors,
            sparse_vectors_config=body.sparse_vectors,
            metadata=body.metadata,
        )
        made = self.made[name]
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

    def delete_collection(self, name: str, **_: Any) -> Any:
        for store in (self.made, self.indexes):
            store.pop(name, None)
        return self.local.delete_collection(name)

    def create_field_index(
        self, name: str, *, body: models.CreateFieldIndex, query: Any, **_: Any
    ) -> Any:
        schema = body.field_schema or models.PayloadSchemaType.KEYWORD
        self.indexes[self.existing(name)][body.field_name] = schema
        return _done(query)

    def delete_field_index(self, name: str, field: str, *, query: Any, **_: Any) -> Any:
        self.indexes[self.existing(name)].pop(field, None)
        return _done(query)

    # -- aliases -----------------------------------------------------------------------------

    def update_aliases(self, *, body: models.ChangeAliasesOperation, **_: Any) -> Any:
        return self.local.update_collection_aliases(body.actions)

    def get_collections_aliases(self, **_: Any) -> Any:
        return self.local.get_aliases()

    def get_collection_aliases(self, name: str, **_: Any) -> Any:
        return self.local.get_collection_aliases(name)

    # -- reading -----------------------------------------------------------------------------

    def query_points(self, name: str, *, body: models.QueryRequest, **_: Any) -> Any:
        return self.local.query_points(name, **_search(body))

    def query_batch_points(self, name: str, *, body: models.QueryRequestBatch, **_: Any) -> Any:
        return [self.local.query_points(name, **_search(one)) for one in body.searches]

    def query_points_groups(self, name: str, *, body: models.QueryGroupsRequest, **_: Any) -> Any:
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

    def scroll_points(self, name: str, *, body: models.ScrollRequest, **_: Any) -> Any:
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

    def count_points(self, name: str, *, body: models.CountRequest, **_: Any) -> Any:
        return self.local.count(name, count_filter=body.filter, exact=True)

    def facet(self, name: str, *, body: models.FacetRequest, **_: Any) -> Any:
        if body.key not in self.indexes[self.existing(name)]:
            raise Refused(400, f"Bad request: No appropriate index for faceting: `{body.key}`")
        limit = 10 if body.limit is None else body.limit
        return self.local.facet(name, body.key, facet_filter=body.filter, limit=limit)

    def get_points(self, name: str, *, body: models.PointRequest, **_: Any) -> Any:
        payload = True if body.with_payload is None else body.with_payload
        return self.local.retrieve(name, body.ids, payload, body.with_vector or False)

    def get_point(self, name: str, point: str, **_: Any) -> Any:
        found = self.local.retrieve(name, [int(point) if point.isdigit() else point], True, True)
        if not found:
            raise Refused(404, f"Not found: Point with id {point} does not exists!")
        return found[0]

    # -- writing -----------------------------------------------------------------------------

    def upsert_points(self, name: str, *, body: Any, query: Any, **_: Any) -> Any:
        points = body.points if isinstance(body, models.PointsList) else body.batch
        if not points:
            raise Refused(400, "Bad request: Empty update request")
        changes = {"update_filter": body.update_filter, "update_mode": body.update_mode}
        self.local.upsert(name, points, **changes)
        return _done(query)

    def delete_points(self, name: str, *, body: Any, query: Any, **_: Any) -> Any:
        self.local.delete(name, body)
        return _done(query)

    def batch_update(
        self, name: str, *, body: models.UpdateOperations, query: Any, **_: Any
    ) -> Any:
        self.local.batch_update_points(name, body.operations)
        return [_done(query) for _ in body.operations]

    def set_payload(self, name: str, *, body: models.SetPayload, query: Any, **_: Any) -> Any:
        selector = body.filter if body.points is None else body.points
        self.local.set_payload(name, body.payload, selector, key=body.key)
        return _done(query)


NEED_NO_COLLECTION = {
    "collection_exists",
    "create_collection",
    "delete_collection",
    "get_collection_aliases",
    "recover_from_snapshot",
    "recover_from_uploaded_snapshot",
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


def _update(model: Any, changes: Any) -> None:
    """Set what the other model, or None, was given and this one has a place for."""
    if changes is not None:
        for name in changes.model_fields_set & type(model).model_fields.keys():
            if getattr(changes, name) is not None:
                setattr(model, name, getattr(changes, name))
