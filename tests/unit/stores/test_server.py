"""The server adapter on the wire: what it sends, what it does when a server or a network fails."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import make_chunk, put, random_sparse, random_vectors
from qdrant_client import QdrantClient, models
from qdrant_faults import Cut, Delay, Garbage, Half, Status
from qdrant_loopback import Loopback
from qdrant_loopback_grpc import GrpcFront

from drehr_rag import Access, AllPatients, Layout, Patient
from drehr_rag.errors import (
    BadArgument,
    EncoderMismatch,
    StoreDamaged,
    StoreError,
    StoreMissing,
)
from drehr_rag.stores import _link, _server_snapshots, open_store
from drehr_rag.stores import server as server_module
from drehr_rag.stores._copy import copy_store
from drehr_rag.stores.server import restore, switch

EVERYBODY = AllPatients(reason="test")
MANIFEST = {"dimension": 8}


@pytest.fixture
def loopback():
    with Loopback(strict=True) as server:
        yield server


@pytest.fixture
def waits(monkeypatch):
    """Waiting takes no time; the list says how long it would have been."""
    found = []
    monkeypatch.setattr(_link, "sleep", found.append)
    return found


def ward(count=40):
    rng = np.random.default_rng(0)
    chunks = [make_chunk(i, patient=f"p{i % 4}", text=f"secret {i}") for i in range(count)]
    return chunks, random_vectors(rng, count), random_sparse(rng, count)


def opened(loopback, name="notes", **options):
    return open_store(f"{loopback.url}/{name}", manifest=MANIFEST, **options)


FAULTS = {
    "429 with a wait": Status(429, retry_after=7),
    "429": Status(429),
    "500": Status(500),
    "502": Status(502),
    "503": Status(503),
    "cut": Cut(),
    "reset": Cut(reset=True),
    "done, then cut": Cut(applied=True),
    "half an answer": Half(),
    "garbage, done": Garbage(applied=True),
    "an empty answer": Garbage(body=b'{"result": null, "status": "ok", "time": 0.0}'),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("what", ["upsert", "delete", "query", "scroll", "count"])
def test_a_fault_that_passes_is_not_noticed(loopback, waits, fault, what):
    paths = {
        "upsert": (r"/points$", "PUT"),
        "delete": (r"/points/delete", None),
        "query": (r"/query/batch", None),
        "scroll": (r"/scroll", None),
        "count": (r"/count", None),
    }
    path, method = paths[what]
    chunks, dense, sparse = ward()
    with opened(loopback) as store:
        loopback.inject(fault, path, method=method, times=2)
        put(store, chunks, dense, sparse)
        assert store.delete_notes(["n0", "n1"]) == 2
        assert store.count(scope=EVERYBODY) == 38
        hits = store.search_dense(dense[5:6], scope=Patient("p1"), k=3)[0]
        assert hits[0].chunk == chunks[5]
        assert store.get(["c7", "c0"], scope=EVERYBODY) == [chunks[7]]
    assert len(waits) == 2
    assert waits == [7, 7] if fault == FAULTS["429 with a wait"] else waits[0] >= 0.5


@pytest.mark.parametrize("fault", [Status(503), Cut(), Garbage()], ids=["503", "cut", "garbage"])
def test_a_fault_that_stays_is_an_error_that_names_no_note(loopback, waits, fault):
    chunks, dense, sparse = ward()
    with opened(loopback, access=Access(retries=3)) as store:
        put(store, chunks[:10], dense[:10], sparse[:10])
        loopback.inject(fault, r"/points$", method="PUT", times=None)
        with pytest.raises(StoreError, match=r"127\.0\.0\.1.*upsert, 4 times") as caught:
            put(store, chunks, dense, sparse)
        assert "secret" not in str(caught.value) and "p1" not in str(caught.value)
        assert 3 <= len(waits) <= 3 * 4 and sorted(waits)[-1] >= 2
        loopback.forgive()
        assert store.count(scope=EVERYBODY) == 10
        put(store, chunks, dense, sparse)
        assert store.count(scope=EVERYBODY) == 40


def test_a_request_that_is_wrong_is_not_repeated(loopback, waits):
    chunks, dense, sparse = ward()
    with opened(loopback) as store:
        loopback.inject(Status(400), r"/points$", method="PUT", times=None)
        with pytest.raises(StoreError, match="answered 400"):
            put(store, chunks, dense, sparse)
        assert waits == [] and len(loopback.made("upsert_points")) == 1


def test_a_server_that_is_slow_is_not_waited_for_for_ever(loopback, waits):
    with opened(loopback, access=Access(timeout=1, retries=1)) as store:
        loopback.inject(Delay(30), r"/count", times=None)
        with pytest.raises(StoreError, match=r"ReadTimeout.* 2 times"):
            store.count(scope=EVERYBODY)


def test_no_server_is_told_at_once(waits):
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9 does not answer \(ConnectError\)"):
        open_store("http://127.0.0.1:9/notes", manifest=MANIFEST)
    assert waits == []


def test_keys(monkeypatch):
    with Loopback(api_key="right", read_only_key="reader") as server:
        for key in (None, "wrong"):
            access = Access(api_key=key) if key else None
            with pytest.raises(StoreError, match="refuses the key: set QDRANT_API_KEY") as caught:
                opened(server, access=access)
            assert "wrong" not in str(caught.value)
        monkeypatch.setenv("QDRANT_API_KEY", "right")
        with opened(server) as store:
            put(store, *ward())
        with opened(server, access=Access(api_key="reader")) as store:
            assert store.count(scope=Patient("p1")) == 10
            with pytest.raises(StoreError, match="does not allow delete with this key"):
                store.delete_patient("p1")
            with pytest.raises(StoreError, match="does not allow upsert with this key"):
                put(store, *ward())
        assert {request.headers["api-key"] for request in server.requests[-3:]} == {"reader"}


def test_a_key_never_travels_in_the_clear_to_another_host(monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "right")
    with pytest.raises(BadArgument, match="unencrypted"):
        open_store("http://qdrant.example:6333/notes")


def test_certificates(tmp_path):
    with Loopback(tls=tmp_path, api_key="k") as server:
        place = f"{server.url}/notes"
        trusting = Access(ca_file=server.certificate, api_key="k")
        with open_store(place, manifest=MANIFEST, access=trusting) as store:
            put(store, *ward())
            assert store.count(scope=EVERYBODY) == 40
            store.snapshot(tmp_path / "x.snapshot")
        with pytest.raises(StoreError, match="does not answer"):
            open_store(place, access=Access(api_key="k"))
        with pytest.raises(BadArgument, match="cannot be read"):
            open_store(place, access=Access(ca_file=tmp_path / "nothing"))
        with pytest.raises(BadArgument, match="GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
            open_store(place, access=trusting.but(grpc=True))


def test_a_collection_is_laid_out_as_asked(loopback):
    layout = Layout(
        precision="float16",
        quantisation="binary",
        on_disk=True,
        hnsw_m=24,
        hnsw_ef_construct=200,
        shards=6,
        replicas=2,
        write_consistency=2,
    )
    access = Access(exact=False, hnsw_ef=256, oversampling=5, read_consistency="quorum")
    with opened(loopback, layout=layout, access=access.but(write_ordering="strong")) as store:
        put(store, *ward())
        store.search_dense(ward()[1][:1], scope=EVERYBODY, k=3)
        store.delete_notes(["n1"])
    made = loopback.made("create_collection")[0].model
    assert made.vectors["dense"].datatype == "float16" and made.vectors["dense"].on_disk
    assert made.hnsw_config.m == 24 and made.hnsw_config.ef_construct == 200
    assert made.quantization_config.binary.always_ram
    assert (made.shard_number, made.replication_factor, made.write_consistency_factor) == (6, 2, 2)
    assert made.metadata["layout"]["quantisation"] == "binary"
    request = loopback.made("query_batch_points")[0]
    params = request.model.searches[0].params
    assert (params.exact, params.hnsw_ef) == (False, 256)
    assert (params.quantization.rescore, params.quantization.oversampling) == (True, 5)
    assert not params.quantization.ignore
    assert request.query["consistency"] == "quorum"
    for call in ("upsert_points", "delete_points"):
        assert loopback.made(call)[0].query == {"wait": True, "ordering": "strong"}
    with opened(loopback) as again:  # a store that exists keeps its layout
        assert again.layout == layout


def test_wide_vectors_are_narrow_on_a_server_too(loopback):
    with open_store(f"{loopback.url}/wide", manifest={"dimension": 4096}) as store:
        assert store.layout.precision == "float16"
    assert loopback.made("create_collection")[0].model.vectors["dense"].datatype == "float16"


def test_every_filtered_field_has_its_index(loopback):
    with opened(loopback):
        pass
    made = {r.model.field_name: r.model.field_schema for r in loopback.made("create_field_index")}
    assert set(made) == {
        *("patient_id", "encounter_id", "note_id", "note_type_key", "section"),
        "written_ts",
    }
    assert [name for name, index in made.items() if getattr(index, "is_tenant", False)] == [
        "patient_id"
    ]


def test_a_making_that_was_cut_off_is_finished(loopback, waits):
    """The server made it, its answer was lost, and then its client died before the indexes."""
    loopback.inject(Cut(applied=True), r"^/collections/notes$", method="PUT")
    loopback.inject(Status(400), r"/index$", nth=3, times=None)
    with pytest.raises(StoreError, match="create_payload_index"):
        opened(loopback)
    loopback.forgive()
    with opened(loopback) as store:
        put(store, *ward())
        assert store.facets("section", scope=EVERYBODY) == {}
        assert store.count(scope=Patient("p1")) == 10


def test_a_name_that_somebody_else_took_meanwhile(loopback):
    """Between the look and the making another program made a collection of this name."""
    loopback.inject(Status(404), r"^/collections/notes$", method="GET")
    vectors = {"dense": models.VectorParams(size=4, distance="Dot")}
    other = QdrantClient(url=loopback.url, check_compatibility=False)
    other.create_collection("notes", vectors_config=vectors)
    with pytest.raises(StoreError, match=r"create_collection.*already exists"):
        opened(loopback)
    with pytest.raises(StoreDamaged, match="no readable manifest"):
        opened(loopback)
    other.close()


@pytest.mark.parametrize("uploads", [1, 3])
def test_large_uploads_go_in_bounded_requests_several_at_a_time(loopback, uploads):
    count, dimension = 800, 1024
    rng = np.random.default_rng(0)
    chunks = [make_chunk(i) for i in range(count)]
    vectors = random_vectors(rng, count, dimension)
    access = Access(uploads=uploads)
    place = f"{loopback.url}/big"
    with open_store(place, manifest={"dimension": dimension}, access=access) as store:
        loopback.inject(Delay(0.3), r"/points$", method="PUT", times=None)
        loopback.most = 0
        put(store, chunks, vectors, random_sparse(rng, count))
        most = loopback.most
        assert store.count(scope=EVERYBODY) == count
        again = {point[0]: point for points in store._all() for point in points}
        assert len(again) == count
    sizes = [request.size for request in loopback.made("upsert_points")]
    assert len(sizes) >= 4 and max(sizes) <= 5 * 2**20
    assert most == 1 if uploads == 1 else 1 < most <= uploads


def test_patients_are_grouped_by_the_server_and_completed(loopback):
    """One patient holds most of the best chunks: the server's own grouping gives up too early."""
    rng = np.random.default_rng(0)
    count = 400
    vectors = random_vectors(rng, count)
    query = vectors[0]
    order = np.argsort(-(vectors @ query))
    patient = {int(i): "p0" if place < 380 else f"p{place % 7}" for place, i in enumerate(order)}
    chunks = [make_chunk(i, patient=patient[i]) for i in range(count)]
    sparse = random_sparse(rng, count)
    with (
        opened(loopback) as store,
        open_store(":memory:", manifest=MANIFEST) as exact,
    ):
        for each in (store, exact):
            put(each, chunks, vectors, sparse)
        for how in ({"k": 5, "per_patient": 4}, {"k": 20, "per_patient": 2}):
            found, true = (
                [
                    (group.patient_id, [hit.chunk.chunk_id for hit in group.hits])
                    for group in each.patients_dense(query, scope=EVERYBODY, **how)
                ]
                for each in (store, exact)
            )
            before = len(loopback.requests)
            store.patients_dense(query, scope=EVERYBODY, **how)
            assert found == true and len(found) == min(how["k"], 7)
            assert len(loopback.requests) - before <= 4
    assert loopback.made("query_points_groups")


def test_an_alias_is_switched_without_a_gap(loopback):
    alias = f"{loopback.url}/ehr"
    for version, count in (("ehr-v1", 20), ("ehr-v2", 30)):
        with opened(loopback, version) as store:
            chunks, dense, sparse = ward(count)
            put(store, chunks, dense, sparse)
    assert switch(alias, "ehr-v1") is None
    with open_store(alias) as store:
        assert store.count(scope=EVERYBODY) == 20
        assert switch(alias, "ehr-v2") == "ehr-v1"
        assert store.count(scope=EVERYBODY) == 30  # the same open store, without a restart
        put(store, *ward(35))
    with opened(loopback, "ehr-v2") as store:
        assert store.count(scope=EVERYBODY) == 35
    operations = loopback.made("update_aliases")[-1].model.actions
    assert len(operations) == 2  # gone and made in one request
    with pytest.raises(StoreMissing, match="ehr-v9"):
        switch(alias, "ehr-v9")
    with pytest.raises(BadArgument, match="is a collection itself"):
        switch(f"{loopback.url}/ehr-v1", "ehr-v2")


def test_an_alias_of_another_encoder_is_noticed(loopback, monkeypatch):
    alias = f"{loopback.url}/ehr"
    for version in ("one", "two"):
        made = {**MANIFEST, "encoder": {"fingerprint": {"model": version}}}
        with open_store(f"{loopback.url}/{version}", manifest=made) as store:
            put(store, *ward(20))
    switch(alias, "one")
    chunks, dense, sparse = ward(20)
    with open_store(alias) as store:
        assert store.search_dense(dense[:1], scope=EVERYBODY, k=1)[0][0].chunk == chunks[0]
        switch(alias, "two")
        monkeypatch.setattr(server_module, "COUNTED_FOR", -1.0)  # the minute is over
        for use in (
            lambda: store.search_dense(dense[:1], scope=EVERYBODY, k=1),
            lambda: store.search_dense(dense[:1], scope=Patient("p1"), k=1),
            lambda: store.patients_dense(dense[0], scope=EVERYBODY, k=1, per_patient=1),
            lambda: put(store, chunks, dense, sparse),
        ):
            with pytest.raises(EncoderMismatch, match="ehr stands for another collection by now"):
                use()


def test_one_patient_is_searched_exactly_however_large_the_collection(loopback, monkeypatch):
    monkeypatch.setattr(server_module, "EXACT_BELOW", 10)
    _, dense, _ = ward()
    layout = Layout(quantisation="binary")
    with opened(loopback, layout=layout) as store:
        put(store, *ward())
        for scope, exact in ((Patient("p1"), True), (EVERYBODY, False)):
            store.search_dense(dense[:1], scope=scope, k=3)
            params = loopback.made("query_batch_points")[-1].model.searches[0].params
            assert params.exact is exact and params.quantization.ignore is exact


def test_a_busy_server_is_asked_again_from_the_first_request_on(loopback, waits):
    loopback.inject(Status(429), r"/collections/notes$", method="GET", times=1)
    with opened(loopback) as store:
        assert store.count(scope=EVERYBODY) == 0
    assert len(waits) == 1


def test_a_snapshot_travels_here_and_back(loopback, tmp_path):
    file = tmp_path / "x.snapshot"
    with opened(loopback) as store:
        put(store, *ward())
        store.snapshot(file)
        with pytest.raises(StoreError, match="exists"):
            store.snapshot(file)
    assert file.stat().st_mode & 0o077 == 0
    assert len(loopback.made("delete_snapshot")) == 1  # nothing is left on the server
    restore(file, f"{loopback.url}/back")
    with open_store(f"{loopback.url}/back") as store:
        assert store.count(scope=Patient("p2")) == 10
    with pytest.raises(StoreError, match="exists"):
        restore(file, f"{loopback.url}/back")


def test_a_snapshot_whose_answer_never_comes_says_that_the_server_may_go_on(loopback, tmp_path):
    file = tmp_path / "x.snapshot"
    with opened(loopback) as store:
        put(store, *ward())
        store.snapshot(file)
    loopback.inject(Cut(applied=True), r"/snapshots/upload", times=1)
    with pytest.raises(StoreError, match=r"may go on all the same: look at .*/collections/back"):
        restore(file, f"{loopback.url}/back")


@pytest.mark.parametrize("fault", [Half(), Cut(), Status(500)], ids=["half", "cut", "500"])
def test_a_snapshot_that_does_not_arrive_whole_is_none(loopback, tmp_path, fault):
    with opened(loopback) as store:
        put(store, *ward())
        loopback.inject(fault, r"/snapshots/.+", method="GET", times=None)
        with pytest.raises(StoreError, match=r"snapshot|download"):
            store.snapshot(tmp_path / "x.snapshot")
    assert list(tmp_path.iterdir()) == []
    assert len(loopback.made("delete_snapshot")) == 1


def test_nobody_else_can_read_a_snapshot_on_its_way(loopback, tmp_path, monkeypatch):
    real, seen = _server_snapshots._download, []

    def looking(*args):
        seen.extend(path.stat().st_mode & 0o077 for path in tmp_path.iterdir())
        return real(*args)

    monkeypatch.setattr(_server_snapshots, "_download", looking)
    with opened(loopback) as store:
        put(store, *ward())
        store.snapshot(tmp_path / "x.snapshot")
    assert seen == [0] and (tmp_path / "x.snapshot").stat().st_mode & 0o077 == 0


def test_a_snapshot_whose_removal_went_unanswered_is_still_one(loopback, tmp_path, waits):
    with opened(loopback) as store:
        put(store, *ward())
        loopback.inject(Cut(applied=True), r"/snapshots/.+", method="DELETE")
        store.snapshot(tmp_path / "x.snapshot")
        loopback.inject(Cut(applied=True), r"/snapshots$", method="POST")
        with pytest.raises(StoreError, match=r"lies on the server and holds notes.*/snapshots"):
            store.snapshot(tmp_path / "y.snapshot")
        assert len(loopback.made("create_snapshot")) == 2  # never made twice
        loopback.inject(Status(500), r"^/cluster$")
        with pytest.raises(StoreError, match="whether it is a cluster"):
            store.snapshot(tmp_path / "z.snapshot")
    assert [path.name for path in tmp_path.iterdir()] == ["x.snapshot"]


def test_a_cluster_is_not_backed_up_by_one_nodes_snapshot(tmp_path):
    with Loopback(peers=3) as server, opened(server) as store:
        put(store, *ward())
        with pytest.raises(StoreError, match="store copy"):
            store.snapshot(tmp_path / "x.snapshot")


@pytest.mark.parametrize("back", [False, True], ids=["to a server", "from a server"])
def test_copies_between_a_folder_and_a_server(loopback, tmp_path, back, waits):
    places = [str(tmp_path / "x.idx"), f"{loopback.url}/copy"]
    source, target = reversed(places) if back else places
    with open_store(source, manifest={**MANIFEST, "encoder": {"name": "e"}}) as store:
        put(store, *ward(200))
    loopback.inject(Cut(applied=True), r"/points$", method="PUT", nth=1, times=2)
    report = copy_store(source, target)
    assert report.chunks == 200 and report.difference < 1e-6
    with open_store(source) as old, open_store(target) as new:
        assert old.manifest == new.manifest
        for patient in ("p0", "p3"):
            hits = [
                [(hit.chunk, round(hit.score, 5)) for hit in each.search_dense(
                    ward(200)[1][:1], scope=Patient(patient), k=9)[0]]
                for each in (old, new)
            ]  # fmt: skip
            assert hits[0] == hits[1]


def test_grpc_says_the_same_in_its_own_words(loopback):
    with GrpcFront(loopback) as front:
        access = Access(grpc=True, grpc_port=front.port)
        with pytest.raises(StoreMissing):
            open_store(f"{loopback.url}/notes", access=access)
        with opened(loopback, access=access) as store:
            put(store, *ward())
            assert store.count(scope=Patient("p1")) == 10
    with opened(loopback) as store:
        assert store.count(scope=EVERYBODY) == 40
    with pytest.raises(StoreError, match=r"does not answer|UNAVAILABLE"):
        open_store(f"{loopback.url}/notes", access=access.but(grpc_port=9, timeout=5))


def test_a_key_by_grpc(monkeypatch):
    with Loopback(api_key="right", read_only_key="reader") as server, GrpcFront(server) as front:
        access = Access(grpc=True, grpc_port=front.port)
        for key in (None, "wrong"):
            given = access.but(api_key=key) if key else access
            with pytest.raises(StoreError, match="refuses the key: set QDRANT_API_KEY") as caught:
                opened(server, access=given)
            assert "wrong" not in str(caught.value)
        monkeypatch.setenv("QDRANT_API_KEY", "right")
        with opened(server, access=access) as store:
            put(store, *ward())
        with opened(server, access=access.but(api_key="reader")) as store:
            assert store.count(scope=Patient("p1")) == 10
            with pytest.raises(StoreError, match="does not allow delete with this key"):
                store.delete_patient("p1")
        assert [name for name, _ in front.requests if name == "Points/Upsert"]


def test_a_key_and_a_certificate_by_grpc(tmp_path):
    """gRPC reads its certificates once a process, so each trust has a process of its own."""
    code = (
        "import sys; from drehr_rag import Access, AllPatients;"
        "from drehr_rag.stores import open_store;"
        "access = Access(grpc=True, grpc_port=int(sys.argv[2]), retries=0, timeout=10);"
        "store = open_store(sys.argv[1], manifest={'dimension': 8}, access=access);"
        "print(store.count(scope=AllPatients(reason='test')))"
    )
    with Loopback(tls=tmp_path, api_key="k") as server, GrpcFront(server) as front:
        command = [sys.executable, "-c", code, f"{server.url}/notes", str(front.port)]
        trusting = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(server.certificate)}
        for given, said in (
            ({"QDRANT_API_KEY": "k", **trusting}, ""),
            ({"QDRANT_API_KEY": "wrong", **trusting}, "refuses the key"),
            ({"QDRANT_API_KEY": "k"}, "UNAVAILABLE"),
        ):
            env = {**os.environ, **given}
            run = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
            assert (run.stdout == "0\n") is (not said), run.stderr
            assert said in run.stderr and "wrong" not in run.stderr
        assert {request.call for request in server.requests} >= {"create_collection"}
        assert front.requests


@pytest.mark.parametrize("place", ["/a/b", "?x=1", "/a?api_key=k"])
def test_addresses_that_are_no_collection(place):
    with pytest.raises(BadArgument, match="COLLECTION"):
        open_store(f"http://127.0.0.1:9{place}", manifest=MANIFEST)


def test_a_count_is_not_asked_for_at_every_search(loopback, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(server_module, "monotonic", lambda: now[0])
    with opened(loopback) as store:
        put(store, *ward())
        before = len(loopback.made("get_collection"))
        for _ in range(5):
            store.search_dense(ward()[1][:1], scope=EVERYBODY, k=3)
        assert len(loopback.made("get_collection")) == before + 1
        now[0] = server_module.COUNTED_FOR + 1
        store.search_dense(ward()[1][:1], scope=EVERYBODY, k=3)
        assert len(loopback.made("get_collection")) == before + 2


def test_a_run_cut_off_by_a_dead_server_goes_on_where_it_stopped(loopback, tmp_path, waits):
    """From the command line, with a server that dies in the middle and comes back."""
    notes = tmp_path / "notes.jsonl"
    rows = [
        {"note_id": f"n{i}", "patient_id": "p1", "text": f"note {i} says" + " more" * 300}
        for i in range(600)
    ]
    notes.write_text("\n".join(map(json.dumps, rows)))
    code = (
        "import sys; from drehr_rag import Access, EhrIndex;"
        "from drehr_rag.testing import HashEncoder;"
        "index = EhrIndex.open(sys.argv[1], encoder=HashEncoder(), access=Access(retries=0));"
        "print(index.add(sys.argv[2], rejects=sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, f"{loopback.url}/notes", str(notes), str(tmp_path / "r")]
    loopback.inject(Cut(), r"/points$", method="PUT", nth=3, times=None)
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode and "StoreError" in run.stderr and "says" not in run.stderr
    loopback.forgive()
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "unchanged=0" not in run.stdout  # the first run's work was not done again
    with open_store(f"{loopback.url}/notes") as store:
        chunks = store.facets("note_id", scope=EVERYBODY)
        assert len(chunks) == 600 and set(chunks.values()) == {5}
