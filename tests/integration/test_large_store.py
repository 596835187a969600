"""A store in a folder beyond the size from which a graph is built, with old and new segments."""

import shutil

import numpy as np
import pytest
from conftest import make_chunk, put, random_sparse, random_vectors

from drehr_rag.stores import edge, open_store
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
