"""The gRPC front of the recorder: it hands on what it gets, whole, and fails as a server does."""

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_faults import Cut, Delay, Garbage, Half, Status
from qdrant_loopback import Loopback
from qdrant_loopback_grpc import CALLS, Code, GrpcFront


@pytest.fixture
def server():
    with Loopback() as loopback:
        yield loopback


@pytest.fixture
def front(server):
    with GrpcFront(server) as opened:
        yield opened


def connect(server, front=None, **options):
    by_grpc = {} if front is None else {"prefer_grpc": True, "grpc_port": front.port}
    return QdrantClient(url=server.url, check_compatibility=False, **by_grpc, **options)


DENSE = {"dense": models.VectorParams(size=2, distance=models.Distance.COSINE)}
SPARSE = {"lexical": models.SparseVectorParams(modifier=models.Modifier.IDF)}


def points(count):
    return [
        models.PointStruct(
            id=f"00000000-0000-0000-0000-{i:012}",
            vector={
                "dense": [1.0, i],
                "lexical": models.SparseVector(indices=[i % 3, 7], values=[1.0, 0.5]),
            },
            payload={"n": i, "kind": "ab"[i % 2], "deep": {"list": [1, 2.5, None, True]}},
        )
        for i in range(count)
    ]


def made(client, count=6, **settings):
    client.create_collection("notes", DENSE, sparse_vectors_config=SPARSE, **settings)
    client.create_payload_index("notes", "kind", models.KeywordIndexParams(type="keyword"))
    client.create_payload_index("notes", "n", models.PayloadSchemaType.INTEGER)
    client.upsert("notes", points(count))
    return client


KIND = models.FieldCondition(key="kind", match=models.MatchAny(any=["a"]))
LATE = models.FieldCondition(key="n", range=models.Range(gte=1, lte=4))
NAMED = models.IsEmptyCondition(is_empty=models.PayloadField(key="kind"))
FILTER = models.Filter(must=[KIND, LATE], must_not=[NAMED])
QUERY = models.QueryRequest(
    query=[1.0, 2.0],
    using="dense",
    filter=FILTER,
    limit=2,
    params=models.SearchParams(exact=True),
    with_payload=["n"],
)
READING = {
    "get_collection": lambda c: c.get_collection("notes"),
    "get_collections": lambda c: c.get_collections(),
    "collection_exists": lambda c: (c.collection_exists("notes"), c.collection_exists("none")),
    "collection_cluster_info": lambda c: c.collection_cluster_info("notes"),
    "get_aliases": lambda c: c.get_aliases(),
    "get_collection_aliases": lambda c: c.get_collection_aliases("notes"),
    "count": lambda c: c.count("notes", FILTER, exact=True, timeout=9),
    "scroll": lambda c: c.scroll("notes", FILTER, limit=1, with_vectors=True),
    "scroll-on": lambda c: c.scroll("notes", limit=2, offset=points(4)[3].id, with_payload=["n"]),
    "retrieve": lambda c: c.retrieve("notes", [points(1)[0].id], with_vectors=["dense"]),
    "facet": lambda c: c.facet("notes", "kind", FILTER, limit=9, exact=True),
    "query_points": lambda c: c.query_points(
        "notes", models.SparseVector(indices=[1], values=[1.0]), using="lexical", limit=3
    ),
    "query_batch_points": lambda c: c.query_batch_points("notes", [QUERY, QUERY], consistency=1),
    "query_points_groups": lambda c: c.query_points_groups(
        "notes", "kind", [1.0, 2.0], using="dense", limit=2, group_size=2, query_filter=FILTER
    ),
}


def plain(found):
    """As compared: without the bits that float32 and defaults change."""
    if isinstance(found, float):
        return round(found, 5)
    if hasattr(found, "model_dump"):
        return plain(found.model_dump(mode="json", exclude_none=True))
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items() if value != []}
    return [plain(one) for one in found] if isinstance(found, list | tuple) else found


@pytest.mark.parametrize("name", READING)
def test_grpc_and_rest_agree(server, front, name):
    by_grpc, by_rest = (
        made(connect(server, front), metadata={"a": [1, {"b": None}]}),
        connect(server),
    )
    create = models.CreateAlias(collection_name="notes", alias_name="now")
    by_grpc.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    came = len(front.requests)
    found = READING[name](by_grpc)
    assert len(front.requests) > came
    sent = server.requests[-1]
    assert plain(found) == plain(READING[name](by_rest))
    again = server.requests[-1]
    assert (sent.call, sent.path, sent.query) == (again.call, again.path, again.query)
    assert plain(sent.model) == plain(again.model)


def test_the_settings_of_a_collection_arrive(server, front):
    by_grpc, by_rest = connect(server, front), connect(server)
    settings = {
        "shard_number": 3,
        "replication_factor": 2,
        "write_consistency_factor": 2,
        "on_disk_payload": True,
        "hnsw_config": models.HnswConfigDiff(m=8, payload_m=16, on_disk=True),
        "optimizers_config": models.OptimizersConfigDiff(indexing_threshold=100),
        "quantization_config": models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type="int8", quantile=0.99, always_ram=True)
        ),
        "strict_mode_config": models.StrictModeConfig(enabled=True, max_query_limit=50),
        "metadata": {"dimension": 2, "name": "x"},
    }
    bodies = []
    for client in (by_grpc, by_rest):
        made(client, **settings)
        bodies.append(plain(server.made("create_collection")[-1].model))
        client.update_collection("notes", hnsw_config=models.HnswConfigDiff(ef_construct=64))
        assert client.get_collection("notes").config.hnsw_config.ef_construct == 64
        client.delete_collection("notes")
    assert bodies[0] == bodies[1]


def test_writes_arrive(server, front):
    client = made(connect(server, front))
    upsert = server.made("upsert_points")[-1]
    assert upsert.query == {"wait": True}
    assert plain(upsert.model.points) == plain(points(6))
    ordering = models.WriteOrdering.STRONG
    done = client.delete("notes", models.PointIdsList(points=[points(1)[0].id]), ordering=ordering)
    assert done.status == "completed"
    assert server.requests[-1].query == {"wait": True, "ordering": ordering}
    client.delete("notes", models.FilterSelector(filter=FILTER))
    client.set_payload("notes", {"new": 1}, [points(2)[1].id])
    client.batch_update_points(
        "notes",
        [
            models.UpsertOperation(upsert=models.PointsList(points=points(1))),
            models.DeleteOperation(delete=models.PointIdsList(points=[points(4)[3].id])),
        ],
    )
    client.delete_payload_index("notes", "n")
    assert sorted(r.payload["n"] for r in client.scroll("notes")[0]) == [0, 1, 5]
    assert set(client.get_collection("notes").payload_schema) == {"kind"}
    assert [name for name, _ in front.requests if name == "Points/UpdateBatch"]


def test_snapshots(server, front):
    client, by_rest = made(connect(server, front)), connect(server)
    taken = client.create_snapshot("notes")
    (listed,) = by_rest.list_snapshots("notes")
    assert (taken.name, taken.size, taken.checksum) == (listed.name, listed.size, listed.checksum)
    assert [one.name for one in client.list_snapshots("notes")] == [taken.name]
    client.delete_snapshot("notes", taken.name)
    assert client.list_snapshots("notes") == by_rest.list_snapshots("notes") == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Status(500), Code.INTERNAL),
        (Status(503), Code.UNAVAILABLE),
        (Status(429), Code.RESOURCE_EXHAUSTED),
        (Status(401), Code.UNAUTHENTICATED),
        (Status(403), Code.PERMISSION_DENIED),
        (Cut(), Code.UNAVAILABLE),
        (Half(), Code.UNAVAILABLE),
        (Garbage(), Code.INTERNAL),
        (Delay(30.0), Code.DEADLINE_EXCEEDED),
    ],
    ids=repr,
)
def test_faults_become_codes(server, front, fault, code):
    client = made(connect(server, front))
    server.inject(fault, "/count$")
    with pytest.raises(grpc.RpcError) as failed:
        client.count("notes", timeout=1)
    assert failed.value.code() is code
    assert client.count("notes", timeout=30).count == 6


def test_too_many_requests_with_a_time_to_wait(server, front):
    client = made(connect(server, front))
    server.inject(Status(429, retry_after=7), "/count$")
    with pytest.raises(ResourceExhaustedResponse) as exhausted:
        client.count("notes")
    assert exhausted.value.retry_after_s == 7


@pytest.mark.parametrize("applied", [False, True])
def test_a_write_whose_answer_is_lost(server, front, applied):
    client = made(connect(server, front), 2)
    server.inject(Cut(applied=applied), "/points$", method="PUT")
    with pytest.raises(grpc.RpcError):
        client.upsert("notes", points(6))
    assert client.count("notes").count == (6 if applied else 2)


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda c: c.count("nothing"), Code.NOT_FOUND),
        (lambda c: c.create_collection("notes", DENSE), Code.ALREADY_EXISTS),
        (lambda c: c.facet("notes", "deep"), Code.INVALID_ARGUMENT),
    ],
)
def test_refusals_become_codes(server, front, ask, code):
    client = made(connect(server, front))
    with pytest.raises(grpc.RpcError) as refused:
        ask(client)
    assert refused.value.code() is code


def test_what_the_front_can_not_do_fails_the_test(server, front):
    client = made(connect(server, front))
    with pytest.raises(grpc.RpcError):
        client.search_matrix_pairs("notes")
    assert (
        "Points/SearchMatrixPairs is no call that the loopback translates"
        in server.take_violations()[0]
    )


def test_a_key_and_a_certificate(tmp_path):
    with Loopback(api_key="right", tls=tmp_path) as server, GrpcFront(server) as front:
        trusted = {"grpc_options": {"root_certificates": server.certificate.read_bytes()}}
        assert connect(server, front, api_key="right", **trusted).get_collections()
        for key in ("wrong", None):
            with pytest.raises(grpc.RpcError) as refused:
                connect(server, front, api_key=key, **trusted).get_collections()
            assert refused.value.code() is Code.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as refused:
            connect(server, front, api_key="right").get_collections()
        assert refused.value.code() is Code.UNAVAILABLE


def test_every_call_of_the_front_is_one_of_the_client():
    assert [method for method, _ in CALLS.values() if not hasattr(QdrantClient, method)] == []
