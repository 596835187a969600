"""A gRPC front of the loopback: what comes by gRPC goes on by REST, and is checked there.

Each request is turned into the client's REST models by the client's own converters
(`GrpcToRest`), sent to a `Loopback`, and its answer turned back (`RestToGrpc`). So the recorder
sees, checks and carries out the same calls, and its faults are told what they are told for REST:
a status becomes Qdrant's gRPC code, a cut connection UNAVAILABLE, garbage INTERNAL, a delay lets
the client's deadline pass. `requests` holds what came by gRPC itself.

    with Loopback() as server, GrpcFront(server) as front:
        client = QdrantClient(url=server.url, grpc_port=front.port, prefer_grpc=True)

Not done: snapshots of the whole node (recovery is not in gRPC at all), shard keys, matrices, vector
names (INVALID_ARGUMENT, and a violation); a search for fields that this version of the protocol
does not know (the client can not write any).
"""

import json
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Self

import grpc
import httpx
from qdrant_client import QdrantClient
from qdrant_client import grpc as q
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.conversions import conversion
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc import (
    collections_service_pb2,
    points_service_pb2,
    qdrant_pb2,
    snapshots_service_pb2,
)
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_loopback import Loopback

Code = grpc.StatusCode

CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ALREADY_EXISTS,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
}

CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "Points/Upsert": ("upsert", {}),
    "Points/Delete": ("delete", {"points": "points_selector"}),
    "Points/SetPayload": ("set_payload", {"points_selector": "points"}),
    "Points/CreateFieldIndex": ("create_payload_index", {"field_index_params": "field_schema"}),
    "Points/DeleteFieldIndex": ("delete_payload_index", {}),
    "Points/UpdateBatch": ("batch_update_points", {"operations": "update_operations"}),
    "Points/Get": ("retrieve", {}),
    "Points/Scroll": ("scroll", {"filter": "scroll_filter"}),
    "Points/Count": ("count", {"filter": "count_filter"}),
    "Points/Facet": ("facet", {"filter": "facet_filter"}),
    "Points/Query": ("query_points", {"filter": "query_filter", "params": "search_params"}),
    "Points/QueryBatch": ("query_batch_points", {"query_points": "requests"}),
    "Points/QueryGroups": (
        "query_points_groups",
        {"filter": "query_filter", "params": "search_params"},
    ),
    "Collections/Create": ("create_collection", {}),
    "Collections/Update": ("update_collection", {"params": "collection_params"}),
    "Collections/Delete": ("delete_collection", {}),
    "Collections/Get": ("get_collection", {}),
    "Collections/List": ("get_collections", {}),
    "Collections/CollectionExists": ("collection_exists", {}),
    "Collections/CollectionClusterInfo": ("collection_cluster_info", {}),
    "Collections/UpdateAliases": (
        "update_collection_aliases",
        {"actions": "change_aliases_operations"},
    ),
    "Collections/ListAliases": ("get_aliases", {}),
    "Collections/ListCollectionAliases": ("get_collection_aliases", {}),
    "Snapshots/Create": ("create_snapshot", {}),
    "Snapshots/List": ("list_snapshots", {}),
    "Snapshots/Delete": ("delete_snapshot", {}),
    "Qdrant/HealthCheck": ("info", {}),
}
"""Of each call: the method of the client, and its names for the fields of the message."""

FILES = (collections_service_pb2, points_service_pb2, snapshots_service_pb2, qdrant_pb2)
"""Where the client keeps Qdrant's services."""

FIELDS = {
    "result",
    "hits",
    "aliases",
    "collections",
    "snapshot_description",
    "snapshot_descriptions",
}
"""Where an answer holds what was asked for."""

PATIENCE = 600
"""Seconds the front waits for the loopback: the client's own deadline is what is tested."""


class GrpcFront:
    """A gRPC server on 127.0.0.1 before a loopback, with its keys and its certificate.

    Attributes:
        port: Where it listens.
        requests: The name and the message of each request, in the order they came.
    """

    def __init__(self, loopback: Loopback) -> None:
        self.requests: list[tuple[str, Any]] = []
        self._loopback = loopback
        self._client = cache(self._connect)
        unlimited = ("grpc.max_receive_message_length", -1)
        self._server = grpc.server(ThreadPoolExecutor(32), options=[unlimited])
        for file in FILES:
            for service in file.DESCRIPTOR.services_by_name.values():
                methods = {
                    method.name: self._handler(service.name, method) for method in service.methods
                }
                handler = grpc.method_handlers_generic_handler(service.full_name, methods)
                self._server.add_generic_rpc_handlers([handler])
        if loopback.certificate:
            pem = loopback.certificate.read_bytes()
            keys = grpc.ssl_server_credentials([(pem, pem)])
            self.port = self._server.add_secure_port("127.0.0.1:0", keys)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        """Stop."""
        self._server.stop(None).wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self, key: str | None) -> QdrantClient:
        checked = str(self._loopback.certificate) if self._loopback.certificate else True
        options = {"timeout": PATIENCE, "verify": checked, "check_compatibility": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the key goes over loopback only
            return QdrantClient(url=self._loopback.url, api_key=key, **options)

    def _handler(self, service: str, method: Any) -> Any:
        name = f"{service}/{method.name}"

        def serve(message: Any, context: grpc.ServicerContext) -> Any:
            self.requests.append((name, message))
            key = dict(context.invocation_metadata()).get("api-key")
            try:
                return self._answer(name, message, key, method.output_type)
            except ResourceExhaustedResponse as problem:
                context.set_trailing_metadata([("retry-after", str(problem.retry_after_s))])
                context.abort(Code.RESOURCE_EXHAUSTED, problem.message)
            except UnexpectedResponse as problem:
                context.abort(CODES.get(problem.status_code, Code.UNKNOWN), _said(problem))
            except ResponseHandlingException as problem:
                late = isinstance(problem.source, httpx.TimeoutException)
                context.abort(Code.DEADLINE_EXCEEDED if late else Code.UNAVAILABLE, "Socket closed")
            except json.JSONDecodeError:
                context.abort(Code.INTERNAL, "the answer is no answer")
            except Exception as problem:
                self._loopback.violation(f"{name}: {problem!r}")
                context.abort(Code.INVALID_ARGUMENT, repr(problem))

        read, write = getattr(q, method.input_type.name), getattr(q, method.output_type.name)
        return grpc.unary_unary_rpc_method_handler(serve, read.FromString, write.SerializeToString)

    def _answer(self, name: str, message: Any, key: str | None, kind: Any) -> Any:
        if name not in CALLS:
            raise LookupError(f"{name} is no call that the loopback translates")
        method, names = CALLS[name]
        return to_grpc(kind, getattr(self._client(key), method)(**to_rest(message, names)))


def to_rest(message: Any, names: dict[str, str]) -> dict[str, Any]:
    """The fields that are set, as arguments of the client's REST method."""
    found = {}
    for described, value in message.ListFields():
        name = names.get(described.name, described.name)
        found[name.replace("read_consistency", "consistency")] = _field_to_rest(described, value)
    if "field_type" in found:  # params, where there are any, say more
        found.setdefault("field_schema", found["field_type"])
        del found["field_type"]
    return found


def _field_to_rest(described: Any, value: Any) -> Any:
    kind = described.message_type or described.enum_type
    if kind is None:
        return value
    if described.message_type and kind.GetOptions().map_entry:
        return GrpcToRest.convert_payload(value)
    if kind.name == "FieldType":
        schema = conversion.grpc_field_type_to_payload_schema(value)
        return GrpcToRest.convert_payload_schema_type(schema)
    name = _snake(kind.name).replace("payload_index_params", "payload_schema_params")
    convert = getattr(GrpcToRest, f"convert_{name}")
    return [convert(one) for one in value] if described.is_repeated else convert(value)


def to_grpc(kind: Any, found: Any) -> Any:
    """What the client's REST method returned, as a message of this kind."""
    if kind.name == "HealthCheckReply":
        return RestToGrpc.convert_health_check_reply(found)
    if kind.name == "CollectionClusterInfoResponse":
        return RestToGrpc.convert_collection_cluster_info(found)
    message = getattr(q, kind.name)()
    if kind.name == "ScrollResponse":
        found, offset = found
        if offset is not None:
            message.next_page_offset.CopyFrom(RestToGrpc.convert_extended_point_id(offset))
    answers = [described for described in kind.fields if described.name in FIELDS]
    if not answers:  # such as that of a deletion, which holds only the time it took
        return message
    (described,) = answers
    for name in (described.name, "points"):  # models that only wrap a list
        found = getattr(found, name, found)
    if described.is_repeated:
        getattr(message, described.name).extend(_to_grpc(described, one) for one in found)
    elif described.message_type:
        getattr(message, described.name).CopyFrom(_to_grpc(described, found))
    else:
        setattr(message, described.name, found)
    return message


def _to_grpc(described: Any, value: Any) -> Any:
    name = described.message_type.name
    if name == "BatchResult":
        return q.BatchResult(result=[RestToGrpc.convert_scored_point(p) for p in value.points])
    if name == "CollectionExists":
        return q.CollectionExists(exists=value)
    name = name.replace("FacetHit", "FacetValueHit")
    return getattr(RestToGrpc, f"convert_{_snake(name)}")(value)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _said(problem: UnexpectedResponse) -> str:
    try:
        return str(problem.structured()["status"]["error"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return problem.content.decode()
