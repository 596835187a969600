"""A store in a folder beyond the size from which a graph is built, with old and new segments."""

import shutil

import numpy as np
import pytest
from conftest import make_chunk, put, random_sparse, random_vectors

from drehr_rag.stores import Access, edge, open_store
from drehr_rag.types import AllPatients, Cohort, Filters, Patient

EVERYBODY = AllPatients(reason="test")
COUNT, DIMENSION = 3_000, 1_024
"""The engine builds a graph from 10 MB of vectors up, so these are 12 MB."""

FIELDS = ("patient_id", "encounter_id", "note_id", "note_type", "section")


@pytest.fixture
def large(monkeypatch):
    """Stores count as large from 1,000 chunks up."""
    monkeypatch.setattr(edge, "EXACT_BELOW", 1_000)


def some_chunks(numbers, note="n"):
    return [
        make_chunk(
            i,
            patient=None if i % 60 == 59 else f"p{i % 60}",
            note=f"{note}{i // 4}",
            encounter_id=f"e{i % 7}",
            note_type=f"Type {i % 3}",
            section=("plan", "history")[i % 2],
        )
        for i in numbers
    ]


def write(store, numbers, seed, note="n"):
    rng = np.random.default_rng(seed)
    count = len(numbers)
    dense, sparse = random_vectors(rng, count, DIMENSION), random_sparse(rng, count)
    put(store, some_chunks(numbers, note), dense, sparse)


@pytest.fixture(scope="module")
def optimised(tmp_path_factory):
    """A folder with a store that has a graph."""
    folder = tmp_path_factory.mktemp("large") / "x.idx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge, "EXACT_BELOW", 1_000)
        with open_store(str(folder), manifest={"dimension": DIMENSION}) as store:
            write(store, range(COUNT), seed=0)
            store.optimise()
    assert has_graph(folder)
    return folder


@pytest.fixture
def folder(optimised, tmp_path):
    """A copy of it."""
    return shutil.copytree(optimised, tmp_path / "x.idx")


def has_graph(folder):
    return any((folder / "shard" / "segments").rglob("vector_index-dense/graph.bin"))


def edit(store):
    """Rewrite chunks, move some to other notes, take some of the old and of the new away."""
    write(store, range(0, 400), seed=1)
    write(store, range(400, 600), seed=2, note="other")
    store.drop_stale({f"other{i}": "another" for i in range(100, 110)})
    store.delete_patient("p7")
    store.delete_notes([f"n{i}" for i in range(20, 60)])
    write(store, range(COUNT, COUNT + 100), seed=3)


def test_counts_after_edits_are_those_of_the_reference(folder, large):
    memory = open_store(":memory:", manifest={"dimension": DIMENSION})
    write(memory, range(COUNT), seed=0)
    edit(memory)
    with open_store(str(folder)) as store:
        edit(store)
        assert counted(store) == counted(memory)
    with open_store(str(folder)) as store:
        assert counted(store) == counted(memory)
        store.optimise()
        assert counted(store) == counted(memory)


def counted(store):
    scopes = (EVERYBODY, Patient("p7"), Patient("p8"), Cohort([f"p{i}" for i in range(30)]))
    filters = (Filters(), Filters(sections=("plan",)))
    asked = [{"scope": scope, "filters": some} for scope in scopes for some in filters]
    return [
        (store.count(**where), {field: store.facets(field, **where) for field in FIELDS})
        for where in asked
    ]


def test_chunks_are_found_by_id_without_an_index_of_ids(folder, large):
    with open_store(str(folder)) as store:
        assert "chunk_id" not in store._shard.info().payload_schema
        ids = ["c2000", "missing", "c7", "c59", "c7"]  # c7 is of p7, c59 of nobody
        assert [c.chunk_id for c in store.get(ids, scope=EVERYBODY)] == ["c2000", "c7", "c59", "c7"]
        assert [c.chunk_id for c in store.get(ids, scope=Patient("p7"))] == ["c7", "c7"]
        store.delete_patient("p7")
        assert [c.chunk_id for c in store.get(ids, scope=EVERYBODY)] == ["c2000", "c59"]


def share_found(store, scope, k=100):
    """The share of the k best that dense search finds, over 20 queries."""
    queries = random_vectors(np.random.default_rng(9), 20, DIMENSION)
    dense = random_vectors(np.random.default_rng(0), COUNT, DIMENSION)
    inside = [i for i, c in enumerate(some_chunks(range(COUNT))) if in_scope(c, scope)]
    found = 0
    for query, hits in zip(queries, store.search_dense(queries, scope=scope, k=k), strict=True):
        best = np.sort(dense[inside] @ query)[-k]
        found += sum(hit.score >= best - 1e-5 for hit in hits)
    return found / (k * len(queries))


def in_scope(chunk, scope):
    return scope == EVERYBODY or chunk.patient_id in scope.patient_ids


def test_a_cohort_below_the_limit_is_searched_exactly(folder, monkeypatch):
    monkeypatch.setattr(edge, "EXACT_BELOW", 2_900)
    cohort = Cohort([f"p{i}" for i in range(55)])
    with open_store(str(folder), access=Access(hnsw_ef=16)) as store:
        assert store.count(scope=cohort) == 2_750, "above the engine's own limit for a scan, 2,500"
        assert share_found(store, EVERYBODY) < 0.99, "the graph was not used, so this shows nothing"
        assert share_found(store, cohort) == 1


def test_a_patient_is_searched_exactly_and_not_counted_before(folder, monkeypatch):
    monkeypatch.setattr(edge, "EXACT_BELOW", 2)
    monkeypatch.setattr(edge.q, "CountRequest", None)
    with open_store(str(folder), access=Access(hnsw_ef=16)) as store:
        with pytest.raises(TypeError):
            share_found(store, Cohort(["p1", "p2"]), k=20)
        assert share_found(store, Cohort(["p1"]), k=20) == 1


def test_more_candidates_find_more(folder, large):
    with open_store(str(folder)) as store:
        usual = share_found(store, EVERYBODY)
    with open_store(str(folder), access=Access(hnsw_ef=16)) as store:
        assert share_found(store, EVERYBODY) < usual


def test_patients_of_a_large_store(folder, large):
    """Each patient of some has 50 chunks: more patients are asked for than one round can find."""
    query = random_vectors(np.random.default_rng(9), 1, DIMENSION)[0]
    with open_store(str(folder)) as store:
        groups = store.patients_dense(query, scope=EVERYBODY, k=100, per_patient=2)
        assert len({group.patient_id for group in groups}) == len(groups) == 59
        for group in groups[:5]:
            alone = store.search_dense(query[None], scope=Patient(group.patient_id), k=2)[0]
            assert [hit.chunk for hit in group.hits] == [hit.chunk for hit in alone]
