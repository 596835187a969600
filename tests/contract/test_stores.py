"""What every store must do; `memory` is the reference that the others must agree with."""

import os
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import KINDS, Stores, make_chunk, put, random_sparse, random_vectors

from drehr_rag.errors import BadArgument, ScopeError, ScopeRequired, StoreError, UnknownName
from drehr_rag.stores import open_store
from drehr_rag.types import AllPatients, Cohort, Encounter, Filters, Patient, SparseVector

EVERYBODY = AllPatients(reason="test")
TYPES = ["Discharge summary", "Radiology report", None]
SECTIONS = ["plan", "family history", None]


def ward(count=60, seed=0):
    """Chunks of five patients and of nobody, with vectors."""
    rng = np.random.default_rng(seed)
    chunks = [
        make_chunk(
            i,
            patient=None if i % 10 == 9 else f"p{i % 5}",
            note=f"n{i // 3}",
            encounter_id=f"e{i % 2}" if i % 7 else None,
            note_type=TYPES[i % 3],
            section=SECTIONS[(i // 2) % 3],
            written_at=datetime(2180, 1 + i % 12, 1 + i % 28) if i % 4 else None,
        )
        for i in range(count)
    ]
    return chunks, random_vectors(rng, count), random_sparse(rng, count)


@pytest.fixture(scope="module")
def reference():
    """What the others must agree with, filled with the ward."""
    with open_store(":memory:", manifest={"dimension": 8}) as store:
        put(store, *ward())
        yield store


@pytest.fixture(scope="module", params=KINDS)
def filled(request, tmp_path_factory):
    """A store of each kind with the ward in it, for many tests that only read."""
    if request.param == "server" and "QDRANT_URL" not in os.environ:
        pytest.skip("no real Qdrant server: set QDRANT_URL")
    stores = Stores(request.param, tmp_path_factory.mktemp("filled"))
    store = stores()
    put(store, *ward())
    yield store
    stores.close()


SCOPES = [
    EVERYBODY,
    Patient("p1"),
    Patient("nobody"),
    Cohort(["p1", "p3", "stranger"]),
    Cohort([]),
    Encounter("p2", "e1"),
]
FILTERS = [
    Filters(),
    Filters(note_types=("discharge  SUMMARY",)),
    Filters(sections=("plan", "family history")),
    Filters(since=datetime(2180, 4, 1), until=datetime(2180, 9, 1)),
    Filters(note_types=("Radiology report",), since=datetime(2180, 2, 1)),
    Filters(note_types=()),
    Filters(patient_ids=("p1", "stranger"), encounter_ids=("e1",)),
    Filters(note_ids=("n1", "n4", "n19")),
    Filters(chunk_ids=("c1", "c9", "c11", "c99"), sections=("plan",)),
    Filters(chunk_ids=()),
]


@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
@pytest.mark.parametrize("scope", SCOPES, ids=lambda s: type(s).__name__)
def test_agrees_with_the_reference(reference, filled, scope, filters):
    rng = np.random.default_rng(1)
    queries, words = random_vectors(rng, 3), random_sparse(rng, 3)
    found = []
    for store in (reference, filled):
        where = {"scope": scope, "filters": filters}
        for vectors, search, rank in (
            (queries, store.search_dense, store.rank_dense),
            (words, store.search_sparse, store.rank_sparse),
        ):
            whole, ranked = search(vectors, k=7, **where), rank(vectors, k=7, **where)
            pairs = [[(h.chunk.chunk_id, pytest.approx(h.score)) for h in hits] for hits in whole]
            assert [[(r.chunk_id, r.score) for r in ranking] for ranking in ranked] == pairs
            points = rank(vectors, k=7, named=False, **where)
            for hits, ranking in zip(whole, points, strict=True):
                chunks_at = store.at([r.chunk_id for r in ranking], scope=scope)
                named = {chunks_at[r.chunk_id]: r.score for r in ranking}
                assert named == {h.chunk: pytest.approx(h.score) for h in hits}
        found.append(
            (
                store.search_dense(queries, k=100, **where),
                store.search_sparse(words, k=100, **where),
                store.count(**where),
                sorted(store.scan(**where), key=lambda chunk: chunk.chunk_id),
                {f: store.facets(f, **where) for f in ("patient_id", "note_type", "section")},
            )
        )
    known, tested = found
    for expected, given in zip(known[0] + known[1], tested[0] + tested[1], strict=True):
        assert {h.chunk for h in given} == {h.chunk for h in expected}
        scores = {h.chunk.chunk_id: h.score for h in expected}
        for hit in given:
            assert hit.score == pytest.approx(scores[hit.chunk.chunk_id], abs=1e-4)
        assert [h.score for h in given] == sorted((h.score for h in given), reverse=True)
    assert tested[2:] == known[2:]
    assert {c.chunk_id for c in tested[3]} == {h.chunk.chunk_id for h in tested[0][0]}
    if scope == Cohort([]) or filters in (Filters(note_types=()), Filters(chunk_ids=())):
        assert tested[0] == [[], [], []] and tested[2] == 0


@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
@pytest.mark.parametrize("scope", SCOPES, ids=lambda s: type(s).__name__)
def test_deletes_what_is_in_scope_and_nothing_else(new_store, scope, filters):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    doomed = {chunk.chunk_id for chunk in store.scan(scope=scope, filters=filters)}
    assert store.delete(scope=scope, filters=filters) == len(doomed)
    left = {chunk.chunk_id for chunk in store.scan(scope=EVERYBODY)}
    assert left == {chunk.chunk_id for chunk in chunks} - doomed
    assert store.delete(scope=scope, filters=filters) == 0


DIGESTS = {"n1": ("d", 1), "n2": ("d", 1)}


def one(chunk):
    rng = np.random.default_rng(3)
    return [chunk], random_vectors(rng, 1), random_sparse(rng, 1), DIGESTS


@pytest.mark.parametrize(
    ("scope", "chunk"),
    [
        (Patient("p1"), make_chunk(2, patient="p2")),
        (Patient("p1"), make_chunk(2, patient=None)),
        (Cohort(["p1", "p3"]), make_chunk(2, patient="p2")),
        (Cohort([]), make_chunk(2, patient="p1")),
        (Encounter("p1", "e1"), make_chunk(2, patient="p1")),
        (Encounter("p1", "e1"), make_chunk(2, patient="p1", encounter_id="e2")),
        # c1 is p1's, of encounter e2:
        (Patient("p2"), make_chunk(1, patient="p2")),
        (Encounter("p1", "e1"), make_chunk(1, patient="p1", encounter_id="e1")),
        (EVERYBODY, make_chunk(1, patient="p2")),
        (EVERYBODY, make_chunk(1, patient=None)),
    ],
)
def test_writes_nothing_outside_its_scope_and_over_nobody_elses(new_store, scope, chunk):
    store = new_store()
    before = make_chunk(1, patient="p1", encounter_id="e2")
    store.upsert(*one(before))
    with pytest.raises(ScopeError, match="nothing was written"):
        store.upsert(*one(chunk), scope=scope)
    assert list(store.scan(scope=EVERYBODY)) == [before]


def test_writes_inside_its_scope(new_store):
    store = new_store()
    store.upsert(*one(make_chunk(1, encounter_id="e1")), scope=Encounter("p1", "e1"))
    again = make_chunk(1, encounter_id="e2", text="new words")
    store.upsert(*one(again), scope=Patient("p1"))
    store.upsert(*one(make_chunk(2, patient="p2")), scope=Cohort(["p1", "p2"]))
    assert store.get(["c1", "c2"], scope=EVERYBODY) == [again, make_chunk(2, patient="p2")]


def test_chunks_of_nobody_are_reached_only_under_all_patients(new_store):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    nobody = {c.chunk_id for c in chunks if c.patient_id is None}
    assert nobody <= {
        h.chunk.chunk_id for h in store.search_dense(dense[:1], scope=EVERYBODY, k=99)[0]
    }
    everyone = Cohort([f"p{i}" for i in range(5)])
    hits = store.search_dense(dense[:1], scope=everyone, k=99)[0]
    assert len(hits) == len(chunks) - len(nobody)
    assert store.get(sorted(nobody), scope=everyone) == []


@pytest.mark.parametrize(
    "no_scope", [None, "p1", {}, [], SimpleNamespace(patient_id="p1", reason="x"), AllPatients]
)
def test_only_a_scope_is_a_scope(new_store, no_scope):
    store = new_store()
    put(store, *ward(6))
    for call in (
        lambda **k: store.search_dense(random_vectors(np.random.default_rng(0), 1), k=1, **k),
        lambda **k: store.search_sparse([SparseVector((1,), (1.0,))], k=1, **k),
        lambda **k: store.rank_dense(random_vectors(np.random.default_rng(0), 1), k=1, **k),
        lambda **k: store.rank_sparse([SparseVector((1,), (1.0,))], k=1, **k),
        lambda **k: store.patients_dense(np.ones(8, np.float32), k=1, per_patient=1, **k),
        lambda **k: store.patients_sparse(SparseVector((1,), (1.0,)), k=1, per_patient=1, **k),
        lambda **k: store.get(["c1"], **k),
        lambda **k: store.count(**k),
        lambda **k: store.facets("section", **k),
        lambda **k: store.scan(**k),
        lambda **k: store.vectors(["c1"], **k),
        lambda **k: store.delete(**k),
    ):
        with pytest.raises(ScopeRequired, match="Patient"):
            call(scope=no_scope)
        with pytest.raises(ScopeRequired, match="scope="):
            call()


def test_ids_that_look_alike_are_different_people(new_store):
    store = new_store()
    rng = np.random.default_rng(0)
    ids = ["1", "01", "1.0", "p 1", "P1", "p1", "ü", "10000032"]
    chunks = [make_chunk(i, patient=patient) for i, patient in enumerate(ids)]
    put(store, chunks, random_vectors(rng, len(ids)), random_sparse(rng, len(ids)))
    for i, patient in enumerate(ids):
        hits = store.search_dense(random_vectors(rng, 1), scope=Patient(patient), k=10)[0]
        assert [h.chunk.chunk_id for h in hits] == [f"c{i}"]
    assert store.count(scope=Patient(10000032)) == store.count(scope=Patient(10000032.0)) == 1
    assert store.count(scope=Patient(np.int64(1))) == 1


def test_a_large_cohort(new_store):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    cohort = Cohort([f"x{i}" for i in range(3000)] + ["p1"])
    assert store.count(scope=cohort) == store.count(scope=Patient("p1")) > 0


def test_get_keeps_order_and_leaves_out_what_is_not_in_scope(new_store):
    store = new_store()
    put(store, *ward())
    got = store.get(["c6", "c1", "c2", "missing", "c1"], scope=Patient("p1"))
    assert [chunk.chunk_id for chunk in got] == ["c6", "c1", "c1"]
    assert got[1] == ward()[0][1]


def test_vectors_come_back_from_inside_the_scope_only(new_store):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    for scope in SCOPES:
        found = store.vectors(["c6", "missing", "c1", "c2", "c1", "c9"], scope=scope)
        seen = {chunk.chunk_id for chunk in store.get(["c6", "c1", "c2", "c9"], scope=scope)}
        assert set(found) == seen
        for chunk_id, vector in found.items():
            np.testing.assert_allclose(vector, dense[int(chunk_id[1:])], atol=1e-6)
            assert vector.dtype == np.float32
    assert store.vectors([], scope=EVERYBODY) == {}
    with pytest.raises(ScopeRequired, match="scope="):
        store.vectors(["c1"])


def test_writing_twice_changes_nothing(new_store):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    first = store.search_dense(dense[:3], scope=EVERYBODY, k=99)
    put(store, chunks, dense, sparse)
    assert store.count(scope=EVERYBODY) == len(chunks)
    again = store.search_dense(dense[:3], scope=EVERYBODY, k=99)
    for before, after in zip(first, again, strict=True):
        assert [h.chunk for h in after] == [h.chunk for h in before]
        assert [h.score for h in after] == pytest.approx([h.score for h in before], abs=1e-6)


def test_note_states_tell_whole_notes_from_half_ones(new_store):
    store = new_store()
    chunks, dense, sparse = ward(6)
    put(store, chunks[:3], dense[:3], sparse[:3])
    store.upsert(chunks[3:5], dense[3:5], sparse[3:5], {"n1": ("d", 3)})
    states = store.note_states(["n0", "n1", "unknown"])
    assert states["n0"].complete and states["n0"].digest == "d" and states["n0"].chunks == 3
    assert not states["n1"].complete and states["n1"].chunks == 2
    assert set(states) == {"n0", "n1"}


def test_stale_chunks_go_and_others_stay(new_store):
    store = new_store()
    chunks, dense, sparse = ward(6)
    put(store, chunks, dense, sparse, digest="old")
    store.upsert(chunks[:1], dense[:1], sparse[:1], {"n0": ("new", 1)})
    store.drop_stale({"n0": "new"})
    left = {h.chunk.chunk_id for h in store.search_dense(dense[:1], scope=EVERYBODY, k=99)[0]}
    assert left == {"c0", "c3", "c4", "c5"}


@pytest.mark.parametrize("what", ["notes", "patient"])
def test_what_is_deleted_is_gone_everywhere(new_store, what):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    if what == "notes":
        gone = {c.chunk_id for c in chunks if c.note_id in ("n0", "n4")}
        assert store.delete_notes(["n0", "n4", "unknown"]) == len(gone)
        assert store.note_states(["n0", "n4"]) == {}
    else:
        gone = {c.chunk_id for c in chunks if c.patient_id == "p2"}
        assert store.delete_patient("p2") == len(gone)
        assert store.facets("patient_id", scope=EVERYBODY).get("p2") is None
    assert gone
    rows = store.search_dense(dense, scope=EVERYBODY, k=99)
    rows += store.search_sparse(sparse, scope=EVERYBODY, k=99)
    assert not gone & {h.chunk.chunk_id for hits in rows for h in hits}
    assert store.get(sorted(gone), scope=EVERYBODY) == []
    assert store.count(scope=EVERYBODY) == len(chunks) - len(gone)
    assert not gone & {p["chunk_id"] for p in store._scroll(())}


def test_vectors_that_do_not_fit_are_refused(new_store):
    store = new_store()
    chunks, dense, sparse = ward(3)
    bad = dense.copy()
    bad[1, 1] = np.nan
    with pytest.raises(StoreError, match="not finite"):
        put(store, chunks, bad, sparse)
    with pytest.raises(StoreError, match="8-d"):
        put(store, chunks, dense[:, :5], sparse)
    with pytest.raises(StoreError, match="one dense and one sparse"):
        put(store, chunks, dense, sparse[:2])
    with pytest.raises(StoreError, match="8-d"):
        store.search_dense(dense[:, :5], scope=EVERYBODY, k=1)
    assert store.count(scope=EVERYBODY) == 0


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", True, None])
def test_k_is_a_whole_number_from_one(filled, k):
    with pytest.raises(BadArgument, match="k is how many"):
        filled.search_dense(random_vectors(np.random.default_rng(0), 1), scope=EVERYBODY, k=k)
    with pytest.raises(BadArgument, match="k is how many"):
        filled.search_sparse([SparseVector((1,), (1.0,))], scope=EVERYBODY, k=k)


def test_a_query_without_known_words_finds_nothing(new_store):
    store = new_store()
    put(store, *ward(6))
    empty = SparseVector((), ())
    assert store.search_sparse([empty], scope=EVERYBODY, k=5) == [[]]
    assert store.search_sparse([SparseVector((999,), (1.0,))], scope=EVERYBODY, k=5) == [[]]


def test_unknown_facets_are_named(new_store):
    with pytest.raises(UnknownName, match="patient_id"):
        new_store().facets("text", scope=EVERYBODY)


# --- cohorts, grouped by patient


def naive_groups(store, kind, query, k, per_patient, **where):
    """Rank everything, then group."""
    search = store.search_dense if kind == "dense" else store.search_sparse
    hits = search(query[None] if kind == "dense" else [query], k=10**6, **where)[0]
    groups = {}
    for hit in hits:
        if hit.chunk.patient_id is not None:
            groups.setdefault(hit.chunk.patient_id, []).append(hit)
    return [(patient, own[:per_patient]) for patient, own in groups.items()][:k]


@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
@pytest.mark.parametrize("scope", SCOPES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (9, 99)])
def test_groups_are_exact(filled, scope, filters, shape):
    store = filled
    rng = np.random.default_rng(2)
    k, per_patient = shape
    where = {"scope": scope, "filters": filters}
    asked = {"k": k, "per_patient": per_patient, **where}
    for kind, query, found in (
        ("dense", vector := random_vectors(rng, 1)[0], store.patients_dense(vector, **asked)),
        ("lexical", words := random_sparse(rng, 1)[0], store.patients_sparse(words, **asked)),
    ):
        expected = naive_groups(store, kind, query, k, per_patient, **where)
        assert [group.patient_id for group in found] == [patient for patient, _ in expected]
        for group, (_, hits) in zip(found, expected, strict=True):
            assert [h.chunk for h in group.hits] == [h.chunk for h in hits]
            assert group.score == group.hits[0].score == pytest.approx(hits[0].score, abs=1e-5)


def test_one_patient_with_all_the_best_chunks_does_not_hide_the_others(new_store):
    """Asking for 4 * k * per_patient hits once would find one patient only."""
    store = new_store()
    rng = np.random.default_rng(0)
    query = random_vectors(rng, 1)[0]
    chunks = [make_chunk(i, patient="loud" if i < 100 else f"p{i}") for i in range(105)]
    dense = random_vectors(rng, 105)
    dense[:100] = query + 0.01 * dense[:100]
    put(store, chunks, dense, random_sparse(rng, 105))
    groups = store.patients_dense(query, scope=EVERYBODY, k=4, per_patient=2)
    assert groups[0].patient_id == "loud" and len(groups[0].hits) == 2
    assert len(groups) == 4


# --- what a review by mutation found untested


def test_more_than_a_page_of_chunks(new_store):
    """Every loop over pages of 1,000 must reach its end."""
    store = new_store()
    rng = np.random.default_rng(0)
    count = 2300
    chunks = [make_chunk(i, patient=f"p{i % 3}", note=f"n{i // 2}") for i in range(count)]
    put(store, chunks, random_vectors(rng, count), random_sparse(rng, count))
    assert len(store.note_states([f"n{i}" for i in range(count // 2)])) == count // 2
    assert len(store.get([c.chunk_id for c in chunks], scope=EVERYBODY)) == count
    assert sum(1 for _ in store._scroll(())) == count
    store.drop_stale({f"n{i}": "other" for i in range(1100)})
    assert store.count(scope=EVERYBODY) == 100
    assert store.delete_notes([f"n{i}" for i in range(count // 2)]) == 100


def test_a_query_without_words_leaves_the_others_their_own_hits(new_store):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    empty = SparseVector((), ())
    alone = [store.search_sparse([vector], scope=EVERYBODY, k=5)[0] for vector in sparse[:2]]
    together = store.search_sparse([empty, sparse[0], empty, sparse[1]], scope=EVERYBODY, k=5)
    assert [ids(hits) for hits in together] == [[], ids(alone[0]), [], ids(alone[1])]
    assert ids(alone[0]) != ids(alone[1])


def ids(hits):
    return [hit.chunk.chunk_id for hit in hits]


def test_k_keeps_the_best(new_store):
    store = new_store()
    chunks, dense, sparse = ward()
    put(store, chunks, dense, sparse)
    for search, query in ((store.search_dense, dense[:1]), (store.search_sparse, sparse[:1])):
        everything = search(query, scope=EVERYBODY, k=99)[0]
        best = search(query, scope=EVERYBODY, k=3)[0]
        assert [h.score for h in best] == pytest.approx([h.score for h in everything[:3]], abs=1e-6)
    cosines = np.sort(dense @ dense[0])[::-1][:3]
    found = store.search_dense(dense[:1], scope=EVERYBODY, k=3)[0]
    assert [h.score for h in found] == pytest.approx(cosines.tolist(), abs=1e-5)


def test_a_note_with_chunks_of_two_versions_is_not_whole(new_store):
    store = new_store()
    chunks, dense, sparse = ward(6)
    store.upsert(chunks[:1], dense[:1], sparse[:1], {"n0": ("old", 2)})
    store.upsert(chunks[1:2], dense[1:2], sparse[1:2], {"n0": ("new", 2)})
    state = store.note_states(["n0"])["n0"]
    assert (state.complete, state.digest, state.chunks) == (False, None, 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_sparse_vectors_must_be_finite(new_store, bad):
    store = new_store()
    chunks, dense, _ = ward(1)
    with pytest.raises(StoreError, match="sparse vectors hold"):
        put(store, chunks, dense, [SparseVector((1,), (bad,))])
    with pytest.raises(StoreError, match="finite in float32"):
        put(store, chunks, dense.astype(np.float64) * 1e300, [SparseVector((1,), (1.0,))])
    assert store.count(scope=EVERYBODY) == 0
