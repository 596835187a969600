"""The recorder that stands for a Qdrant server: what it refuses, what it records, how it fails."""

import hashlib
import json

import httpx
import pytest
from conftest import Stores, make_chunk, put, random_sparse, random_vectors
from numpy.random import default_rng
from qdrant_calls import adapter, calls, models_of
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_faults import Cut, Delay, Garbage, Half, Status
from qdrant_loopback import MAX_BYTES, Loopback

from drehr_rag.errors import StoreError
from drehr_rag.stores import Access, open_store
from drehr_rag.types import AllPatients

EVERYBODY = AllPatients(reason="test")


@pytest.fixture
def server():
    with Loopback() as loopback:
        yield loopback


def connect(server, **options):
    return QdrantClient(url=server.url, check_compatibility=False, **options)


def points(count, **payload):
    return [
        models.PointStruct(id=i, vector=[1.0, i], payload={"n": i, **payload}) for i in range(count)
    ]


def made(server, count=3, **settings):
    """A client, and a collection `notes` with some points."""
    client = connect(server)
    dense = models.VectorParams(size=2, distance=models.Distance.COSINE)
    client.create_collection("notes", vectors_config=dense, **settings)
    if count:
        client.upsert("notes", points(count, kind="a"))
    return client


# --- what is refused


def test_every_model_of_a_request_forbids_unknown_fields():
    """So that validation by the model is strict: nothing that a client sends is passed over."""
    bodies = {name: call.body for name, call in calls().items() if call.body is not None}
    assert {"upsert_points", "query_batch_points", "query_points_groups", "facet"} <= bodies.keys()
    found = {model for body in bodies.values() for model in models_of(body)}
    assert len(found) > 100
    assert [m.__name__ for m in found if m.model_config.get("extra") != "forbid"] == []


COUNT = "/collections/notes/points/count"
QUERY = "/collections/notes/points/query"
WRONG = {
    "field": ("POST", COUNT, {"exact": True, "nonsense": 1}),
    "field-in-filter": (
        "POST",
        COUNT,
        {"filter": {"must": [{"key": "a", "matches": {"any": []}}]}},
    ),
    "field-in-params": ("POST", QUERY, {"query": [1.0, 0.0], "params": {"exakt": True}}),
    "field-of-another-call": ("POST", "/collections/notes/points/scroll", {"using": "dense"}),
    "field-in-settings": (
        "PUT",
        "/collections/new",
        {"vectors": {"size": 2, "distance": "Cosinus"}},
    ),
    "missing-field": ("POST", "/collections/notes/facet", {"limit": 3}),
    "text-for-number": ("POST", QUERY, {"query": [1.0, 0.0], "limit": "3"}),
    "half-a-number": ("POST", QUERY, {"query": [1.0, 0.0], "limit": 2.5}),
    "unknown-query": ("POST", f"{COUNT}?exakt=true", {}),
    "wait-is-no-flag": ("PUT", "/collections/notes/points?wait=yes", {"points": []}),
    "ordering": ("PUT", "/collections/notes/points?wait=true&ordering=firm", {"points": []}),
    "consistency": ("POST", f"{COUNT}?consistency=most", {}),
    "no-time": ("POST", f"{COUNT}?timeout=0", {}),
    "query-twice": ("POST", f"{COUNT}?timeout=1&timeout=2", {}),
    "no-such-call": ("POST", "/collections/notes/points/find", {}),
    "no-such-method": ("PATCH", COUNT, {}),
    "nan": ("POST", QUERY, '{"query": [NaN, 1.0]}'),
    "no-json": ("POST", COUNT, '{"exact": tru'),
    "no-body": ("POST", COUNT, ""),
    "a-body-too-many": ("GET", "/collections/notes", {}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_request_of_qdrants_is_refused_and_fails_the_test(case):
    method, path, body = WRONG[case]
    content = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(AssertionError, match=r"not Qdrant's:\n" + method), Loopback() as server:
        made(server)
        answer = httpx.request(method, server.url + path, content=content)
        assert answer.status_code == 400
        assert answer.json()["status"]["error"]
        assert len(server.violations) == 1
        assert server.requests[-1].status == 400


def test_a_refused_write_is_not_carried_out(server):
    client = made(server)
    wrong = {"points": [{"id": 9, "vector": [1.0, 2.0], "paylod": {}}]}
    httpx.put(f"{server.url}/collections/notes/points?wait=true", json=wrong)
    assert ["paylod" in what for what in server.take_violations()] == [True]
    assert client.count("notes").count == 3


def test_more_bytes_than_a_server_takes(server):
    client = made(server, 0)
    size = MAX_BYTES // 2 + 1
    with pytest.raises(UnexpectedResponse, match="413"):
        client.upsert("notes", points(2, text="x" * size))
    assert "more than the server takes" in server.take_violations()[0]
    client.upsert("notes", points(1, text="x" * size))
    assert client.count("notes").count == 1


def test_what_the_loopback_can_not_do_fails_the_test(server):
    client = made(server)
    with pytest.raises(UnexpectedResponse, match="501"):
        client.search_matrix_pairs("notes")
    assert server.take_violations() == ["the loopback can not do search_matrix_pairs"]


def test_the_stores_of_the_contract_suite_fail_with_a_violation(tmp_path):
    stores = Stores("server-loopback", tmp_path)
    store = stores()
    httpx.get(f"{stores.loopback.url}/collections/{store.collection}?vers=2")
    with pytest.raises(AssertionError, match="vers=2"):
        stores.close()


def test_what_was_provoked_on_purpose_is_taken(server):
    httpx.get(f"{server.url}/nothing")
    assert len(server.take_violations()) == 1
    assert server.take_violations() == []


# --- what is recorded


def test_a_request_is_recorded_with_its_path_query_and_body(server):
    client = made(server)
    client.upsert("notes", points(1), wait=False, ordering=models.WriteOrdering.STRONG)
    client.scroll("notes", limit=1, consistency=2, timeout=7)
    client.scroll("notes", consistency=models.ReadConsistencyType.MAJORITY)
    (_, write), (read, last) = server.made("upsert_points"), server.made("scroll_points")
    assert (write.method, write.path) == ("PUT", "/collections/notes/points")
    assert write.query == {"wait": False, "ordering": models.WriteOrdering.STRONG}
    assert write.body == {"points": [{"id": 0, "vector": [1.0, 0], "payload": {"n": 0}}]}
    assert isinstance(write.model, models.PointsList) and write.size > 50
    assert read.query == {"consistency": 2, "timeout": 7}
    assert read.body == {"limit": 1, "with_payload": True, "with_vector": False}
    assert last.query == {"consistency": models.ReadConsistencyType.MAJORITY}
    assert write.status == read.status == 200
    assert "python-client" in read.headers["user-agent"]


def test_a_request_in_chunks(server):
    made(server)
    answer = httpx.post(f"{server.url}{COUNT}", content=iter([b'{"exact', b'": true}']))
    assert (server.requests[-1].body, answer.json()["result"]) == ({"exact": True}, {"count": 3})


def test_without_wait_a_write_is_only_acknowledged(server):
    client = made(server, 0)
    assert client.upsert("notes", points(1), wait=False).status == "acknowledged"
    assert client.upsert("notes", points(1), wait=True).status == "completed"
    assert client.delete("notes", [0], wait=False).status == "acknowledged"


def test_the_answer_is_qdrants_envelope(server):
    made(server)
    answer = httpx.post(f"{server.url}{COUNT}", json={"exact": True}).json()
    assert answer.keys() >= {"result", "status", "time"}
    assert (answer["result"], answer["status"]) == ({"count": 3}, "ok")
    found = httpx.get(f"{server.url}/collections/notes").content
    assert adapter(models.InlineResponse2007).validate_json(found).result.points_count == 3


# --- faults


def test_an_answer_with_a_status(server):
    client = made(server)
    for code in (401, 403, 429, 500, 502, 503):
        server.inject(Status(code), "/count$")
        with pytest.raises(UnexpectedResponse) as refused:
            client.count("notes")
        assert refused.value.status_code == code == server.requests[-1].status
    assert client.count("notes").count == 3
    server.inject(Status(429, retry_after=7), "/count$")
    answer = httpx.post(f"{server.url}{COUNT}", json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert "Rate limiting exceeded" in answer.json()["status"]["error"]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (Cut(), httpx.RemoteProtocolError),
        (Cut(reset=True), httpx.ReadError),
        (Half(), httpx.RemoteProtocolError),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_a_cut_connection(server, fault, seen):
    client = made(server)
    server.inject(fault, "/count$")
    with pytest.raises(ResponseHandlingException) as cut:
        client.count("notes")
    assert type(cut.value.source) is seen
    assert client.count("notes").count == 3


def test_half_an_answer_is_the_head_and_half_of_the_body(server):
    made(server)
    whole = len(httpx.post(f"{server.url}{COUNT}", json={}).content)
    server.inject(Half(share=0.5), "/count$")
    received = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", f"{server.url}{COUNT}", json={}) as answer,
    ):
        assert answer.status_code == 200
        for part in answer.iter_raw():
            received += part
    assert whole // 2 - 8 < len(received) < whole // 2 + 8
    assert b'"time"' in received


@pytest.mark.parametrize("fault", [Delay(30.0), Half(seconds=30.0)], ids=repr)
def test_an_answer_that_comes_too_late(server, fault):
    made(server)
    server.inject(fault, "/count$")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}{COUNT}", json={}, timeout=0.3)
    assert httpx.post(f"{server.url}{COUNT}", json={}, timeout=30).json()["result"] == {"count": 3}


def test_a_short_delay_only_delays(server):
    client = made(server)
    server.inject(Delay(0.05), "/count$")
    assert client.count("notes").count == 3
    assert server.requests[-1].fault == Delay(0.05)


def test_garbage(server):
    made(server)
    server.inject(Garbage(), "/count$")
    answer = httpx.post(f"{server.url}{COUNT}", json={})
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()
    server.inject(Garbage(b'{"result": {"count": "many"}}'), "/count$")
    with pytest.raises(ResponseHandlingException):
        connect(server).count("notes")


LOST = [Status(500), Status(503), Cut(), Cut(reset=True), Garbage()]


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("fault", LOST, ids=repr)
def test_a_write_whose_answer_is_lost(server, fault, applied):
    client = made(server, 0)
    server.inject(type(fault)(**{**vars(fault), "applied": applied}), "/points$", method="PUT")
    with pytest.raises((UnexpectedResponse, ResponseHandlingException, ValueError)):
        client.upsert("notes", points(2))
    assert client.count("notes").count == (2 if applied else 0)
    client.upsert("notes", points(2))
    assert client.count("notes").count == 2


def test_half_an_answer_means_that_the_write_was_carried_out(server):
    client = made(server, 0)
    server.inject(Half(), "/points$")
    with pytest.raises(ResponseHandlingException):
        client.upsert("notes", points(2))
    assert client.count("notes").count == 2


def test_a_fault_meets_the_requests_it_is_told_to(server):
    client = made(server)

    def outcomes(times):
        for _ in range(times):
            try:
                client.count("notes")
                yield "ok"
            except UnexpectedResponse as problem:
                yield problem.status_code

    server.inject(Status(500), "/count$", nth=2, times=2)
    assert list(outcomes(5)) == ["ok", 500, 500, "ok", "ok"]
    server.inject(Status(503), "/count$", method="PUT")
    server.inject(Status(502), "/scroll$")
    assert list(outcomes(2)) == ["ok", "ok"]
    with pytest.raises(UnexpectedResponse, match="502"):
        client.scroll("notes")
    server.inject(Status(500), "/count$", times=None)
    assert list(outcomes(3)) == [500, 500, 500]


def test_a_request_that_meets_a_fault_is_checked_all_the_same(server):
    made(server)
    server.inject(Cut(), "/count$")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{server.url}{COUNT}", json={"exakt": True})
    assert "exakt" in server.take_violations()[0]


# --- keys and certificates


def test_keys():
    with Loopback(api_key="right", read_only_key="reading") as server:
        made_by = {}
        for key in (None, "wrong", "reading", "right"):
            headers = {} if key is None else {"api-key": key}
            made_by[key] = [
                httpx.get(f"{server.url}/collections", headers=headers).status_code,
                httpx.put(f"{server.url}/collections/notes", headers=headers, json={}).status_code,
                httpx.get(f"{server.url}/healthz", headers=headers).status_code,
            ]
        reading = {"api-key": "reading"}
        assert httpx.post(f"{server.url}{COUNT}", json={}, headers=reading).status_code == 200
    assert made_by == {
        None: [401, 401, 200],
        "wrong": [401, 401, 200],
        "reading": [200, 403, 200],
        "right": [200, 200, 200],
    }


def test_a_certificate_of_its_own(tmp_path):
    with Loopback(tls=tmp_path) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert connect(server, verify=str(server.certificate)).get_collections().collections == []
        with pytest.raises(ResponseHandlingException) as refused:
            connect(server).get_collections()
        assert "CERTIFICATE_VERIFY_FAILED" in str(refused.value.source)


# --- strict mode


def field(name, **condition):
    return models.FieldCondition(key=name, **condition)


def empty(name):
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=name))


FILTERED = {
    "match": (field("kind", match=models.MatchAny(any=["a"])), "keyword"),
    "value": (field("kind", match=models.MatchValue(value="a")), "keyword"),
    "except": (field("kind", match=models.MatchExcept(**{"except": ["b"]})), "keyword"),
    "integer": (field("n", match=models.MatchValue(value=1)), "integer"),
    "range": (field("n", range=models.Range(gte=0)), "float"),
    "empty": (empty("kind"), "keyword"),
    "nested": (models.Filter(should=[field("kind", match=models.MatchAny(any=["a"]))]), "keyword"),
}


@pytest.mark.parametrize("clause", ["must", "must_not", "should"])
@pytest.mark.parametrize("case", FILTERED)
def test_strict_mode_refuses_a_filter_without_an_index(case, clause):
    condition, kind = FILTERED[case]
    asked = models.Filter(**{clause: [condition]})
    query = {"query": [1.0, 0.0], "query_filter": asked}
    with Loopback(strict=True) as server:
        client = made(server)
        search = models.QueryRequest(query=[1.0, 0.0], filter=asked)
        ways = [
            lambda: client.count("notes", count_filter=asked),
            lambda: client.scroll("notes", scroll_filter=asked),
            lambda: client.query_points("notes", **query),
            lambda: client.query_batch_points("notes", [search]),
            lambda: client.delete("notes", models.FilterSelector(filter=asked)),
        ]
        for way in ways:
            with pytest.raises(UnexpectedResponse, match="Index required but not found"):
                way()
        assert client.count("notes").count == 3
        name = "n" if case in ("integer", "range") else "kind"
        wrong = "keyword" if name == "n" else "float"
        if case != "empty":  # for which any index serves
            client.create_payload_index("notes", name, wrong)
            with pytest.raises(UnexpectedResponse, match=f"types: .*{kind}"):
                ways[0]()
        client.create_payload_index("notes", name, kind)
        for way in ways:
            way()


def test_strict_mode_wants_an_index_for_groups():
    with Loopback(strict=True) as server:
        client = made(server)
        with pytest.raises(UnexpectedResponse, match="supporting `match`"):
            client.query_points_groups("notes", "kind", [1.0, 0.0])
        client.create_payload_index("notes", "kind", models.KeywordIndexParams(type="keyword"))
        assert len(client.query_points_groups("notes", "kind", [1.0, 0.0]).groups) == 1


def test_facets_want_an_index_always(server):
    client = made(server)
    with pytest.raises(UnexpectedResponse, match="400"):
        client.facet("notes", "kind")
    client.create_payload_index("notes", "kind", "keyword")
    assert [(hit.value, hit.count) for hit in client.facet("notes", "kind").hits] == [("a", 3)]


LIMITS = {
    "max_query_limit": lambda c: c.query_points("notes", [1.0, 0.0], limit=11),
    "max_timeout": lambda c: c.count("notes", timeout=11),
    "upsert_max_batchsize": lambda c: c.upsert("notes", points(11)),
    "search_max_batchsize": lambda c: c.query_batch_points(
        "notes", [models.QueryRequest(query=[1.0, 0.0], limit=1)] * 11
    ),
    "filter_max_conditions": lambda c: c.count(
        "notes", models.Filter(must=[field("n", range=models.Range(gte=0))] * 11)
    ),
    "condition_max_size": lambda c: c.count(
        "notes", models.Filter(must=[field("n", match=models.MatchAny(any=list(range(11))))])
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_the_limits_of_a_collections_own_strict_mode(server, limit):
    client = made(server)
    client.update_collection(
        "notes", strict_mode_config=models.StrictModeConfig(enabled=True, **{limit: 10})
    )
    with pytest.raises(UnexpectedResponse, match="400"):
        LIMITS[limit](client)
    client.update_collection("notes", strict_mode_config=models.StrictModeConfig(**{limit: 11}))
    LIMITS[limit](client)


def test_exact_search_can_be_forbidden(server):
    config = models.StrictModeConfig(enabled=True, search_allow_exact=False)
    client = made(server, strict_mode_config=config)
    exact = models.SearchParams(exact=True)
    with pytest.raises(UnexpectedResponse, match="Exact search disabled"):
        client.query_points("notes", [1.0, 0.0], search_params=exact)
    with pytest.raises(UnexpectedResponse, match="Exact search disabled"):
        client.count("notes", exact=True)
    assert client.count("notes", exact=False).count == 3


# --- what is emulated


def test_what_is_not_there_and_what_is_there_twice(server):
    client = made(server)
    with pytest.raises(UnexpectedResponse, match="404"):
        client.count("nothing")
    with pytest.raises(UnexpectedResponse, match="409"):
        client.create_collection("notes", models.VectorParams(size=2, distance="Cosine"))
    with pytest.raises(UnexpectedResponse, match="400"):
        client.upsert("notes", [models.PointStruct(id=1, vector=[1.0, 2.0, 3.0])])
    assert client.collection_exists("notes") and not client.collection_exists("nothing")
    assert client.delete_collection("notes") and not client.delete_collection("notes")


def test_the_settings_of_a_collection_are_shown(server):
    quantised = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type="int8"))
    client = made(
        server,
        shard_number=3,
        replication_factor=2,
        hnsw_config=models.HnswConfigDiff(m=8),
        quantization_config=quantised,
        metadata={"a": 1},
    )
    client.create_payload_index("notes", "kind", models.KeywordIndexParams(type="keyword"))
    client.create_payload_index("notes", "n", "float")
    client.update_collection("notes", hnsw_config=models.HnswConfigDiff(ef_construct=64))
    found = client.get_collection("notes")
    params, config = found.config.params, found.config
    assert (params.shard_number, params.replication_factor) == (3, 2)
    assert params.write_consistency_factor == 1
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (8, 64)
    assert config.quantization_config == quantised
    assert config.metadata == {"a": 1}
    types = {name: index.data_type.value for name, index in found.payload_schema.items()}
    assert types == {"kind": "keyword", "n": "float"}
    assert found.payload_schema["kind"].points == 3
    client.delete_payload_index("notes", "n")
    assert set(client.get_collection("notes").payload_schema) == {"kind"}
    shards = client.collection_cluster_info("notes")
    assert (shards.shard_count, sum(s.points_count for s in shards.local_shards)) == (3, 3)


def test_aliases(server):
    client = made(server)
    client.create_collection("newer", models.VectorParams(size=2, distance="Cosine"))

    def switch(collection):
        create = models.CreateAlias(collection_name=collection, alias_name="now")
        client.update_collection_aliases(
            [
                models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="now")),
                models.CreateAliasOperation(create_alias=create),
            ]
        )

    switch("notes")
    assert client.collection_exists("now") and client.count("now").count == 3
    assert [a.alias_name for a in client.get_collection_aliases("notes").aliases] == ["now"]
    switch("newer")
    assert client.count("now").count == 0
    assert [a.collection_name for a in client.get_aliases().aliases] == ["newer"]
    client.create_payload_index("now", "kind", "keyword")
    assert set(client.get_collection("newer").payload_schema) == {"kind"}


def test_snapshots(server, tmp_path):
    client = made(server, metadata={"a": 1})
    client.create_payload_index("notes", "kind", "keyword")
    before = client.scroll("notes", with_vectors=True)[0]
    taken = client.create_snapshot("notes")
    assert client.list_snapshots("notes") == [taken]
    place = f"{server.url}/collections/notes/snapshots/{taken.name}"
    content = httpx.get(place).content
    assert (len(content), hashlib.sha256(content).hexdigest()) == (taken.size, taken.checksum)
    (tmp_path / "kept").write_bytes(content)
    client.recover_snapshot("by-url", place, checksum=taken.checksum)
    client.recover_snapshot("by-file", (tmp_path / "kept").as_uri())
    upload = f"{server.url}/collections/by-upload/snapshots/upload?checksum="
    answer = httpx.post(upload + taken.checksum, files={"snapshot": content})
    assert answer.json()["result"] is True
    for name in ("by-url", "by-file", "by-upload"):
        assert client.scroll(name, with_vectors=True)[0] == before
        found = client.get_collection(name)
        assert found.config.metadata == {"a": 1} and set(found.payload_schema) == {"kind"}

    client.delete("by-file", [0, 1, 2])
    with pytest.raises(UnexpectedResponse, match="Checksum mismatch"):
        client.recover_snapshot("by-file", place, checksum="0" * 64)
    assert httpx.post(upload + "0" * 64, files={"snapshot": content}).status_code == 400
    assert httpx.post(upload[: -len("?checksum=")], files={"other": content}).status_code == 400
    broken = {"snapshot": content[:100]}
    assert httpx.post(upload[: -len("?checksum=")], files=broken).status_code == 400
    assert client.count("by-file").count == 0

    assert client.delete_snapshot("notes", taken.name)
    assert client.list_snapshots("notes") == [] and httpx.get(place).status_code == 404


def test_one_node_of_several():
    with Loopback() as alone, Loopback(peers=3) as one:
        assert connect(alone).cluster_status().status == "disabled"
        client = made(one, 7)
        assert set(client.cluster_status().peers) == {"1", "2", "3"}
        shards = client.collection_cluster_info("notes")
        assert (shards.shard_count, len(shards.local_shards), len(shards.remote_shards)) == (
            3,
            1,
            2,
        )
        assert connect(one).info().version
        telemetry = httpx.get(f"{one.url}/telemetry?details_level=1").json()["result"]
        assert telemetry["collections"]["number_of_collections"] == 1


def test_groups_are_those_that_ten_requests_find(server):
    client = made(server, 0)
    near = [[1.0, 0.001 * i] for i in range(400)]
    rows = [
        models.PointStruct(id=i, vector=vector, payload={"who": f"p{i // 40}"})
        for i, vector in enumerate(near)
    ]
    client.upsert("notes", rows)

    def found(limit, size):
        groups = client.query_points_groups(
            "notes", "who", [1.0, 0.0], limit=limit, group_size=size, with_payload=["who"]
        ).groups
        return {group.id: [hit.id for hit in group.hits] for group in groups}

    exact = {f"p{i}": [40 * i, 40 * i + 1] for i in range(10)}
    assert found(5, 2) == {who: exact[who] for who in list(exact)[:5]}
    assert found(200, 2) == exact
    short = found(10, 2)  # all twenty rows of a request are one patient's: five requests, five
    assert short == {who: exact[who] for who in list(exact)[:5]}


# --- the adapter over it


def test_a_store_writes_again_what_it_may_have_written(server):
    once = Access(retries=0)
    store = open_store(f"{server.url}/notes", manifest={"dimension": 8}, access=once)
    rng = default_rng(0)
    chunks = [make_chunk(i) for i in range(5)]
    dense, sparse = random_vectors(rng, 5), random_sparse(rng, 5)
    server.inject(Cut(applied=True), "/points$", method="PUT", times=None)
    with pytest.raises(StoreError):
        put(store, chunks, dense, sparse)
    assert store.count(scope=EVERYBODY) == 5
    server.forgive()
    put(store, chunks, dense, sparse)
    assert store.count(scope=EVERYBODY) == 5
