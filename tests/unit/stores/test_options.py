"""Layout and access: what is taken, what is refused, and what a folder makes of it."""

import json

import numpy as np
import pytest
from conftest import make_chunk, put, random_sparse, random_vectors

from drehr_rag import Access, AllPatients, Layout
from drehr_rag.errors import BadArgument
from drehr_rag.stores import edge, open_store

EVERYBODY = AllPatients(reason="test")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Layout(precision="float8"), "precision.*'float32', 'float16'"),
        (lambda: Layout(quantization="int8"), "no option 'quantization'.*quantisation"),
        (lambda: Layout(shards=0), "shards"),
        (lambda: Access(timeout="soon"), "timeout"),
        (lambda: Access(read_consistency="some"), "read_consistency.*'majority'"),
        (lambda: Access(oversampling=0.5), "oversampling"),
        (lambda: Layout().but(hnsw_m=-1), "hnsw_m"),
        (lambda: Layout(hnsw_m=10**20), "hnsw_m.*65535"),
        (lambda: Access(hnsw_ef=10**20), "hnsw_ef"),
        (lambda: Access(oversampling="inf"), "oversampling"),
        (lambda: Access(retries=10**20), "retries"),
        (
            lambda: open_store("nowhere", layout={"hnsw_m": 8}),
            r"layout takes Layout\(…\), not dict",
        ),
        (lambda: open_store("nowhere", access={"exact": True}), r"access takes Access\(…\)"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(make, said):
    with pytest.raises(BadArgument, match=said):
        make()


def test_what_a_run_that_died_had_begun_does_not_decide_the_layout(tmp_path, monkeypatch):
    def dying(*_):
        raise RuntimeError("killed")

    place = str(tmp_path / "x")
    monkeypatch.setattr(edge, "create", dying)
    with pytest.raises(RuntimeError):
        open_store(place, manifest={"dimension": 8}, layout=Layout(hnsw_m=99))
    monkeypatch.undo()
    with open_store(place, manifest={"dimension": 8}, layout=Layout(hnsw_m=8)) as store:
        assert store.layout.hnsw_m == 8


def test_words_of_a_command_line_are_understood():
    access = Access(exact="true", timeout="120", oversampling="4", read_consistency="2")
    assert (access.exact, access.timeout, access.oversampling) == (True, 120, 4.0)
    assert access.read_consistency == 2
    assert Layout(on_disk="false", shards="6").shards == 6


def test_no_key_is_ever_shown():
    access = Access(api_key="hunter2")
    assert "hunter2" not in repr(access) + str(access) + access.model_dump_json()


@pytest.mark.parametrize(("dimension", "precision"), [(1024, "float32"), (1025, "float16")])
def test_wide_vectors_are_kept_narrow(tmp_path, dimension, precision):
    manifest = {"dimension": dimension}
    with open_store(str(tmp_path / "x"), manifest=manifest) as store:
        assert store.layout.precision == precision
        assert store.manifest["layout"]["precision"] == precision
    with open_store(str(tmp_path / "x")) as again:
        assert again.layout == store.layout


def clustered(count, dimension=32, centres=50):
    """Vectors that lie together in groups, as those of texts do."""
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(centres, dimension))
    vectors = middle[np.arange(count) % centres] + 0.3 * rng.normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("layout", "share"),
    [
        (Layout(precision="float16"), 0.9),
        (Layout(quantisation="int8"), 0.9),
        (Layout(quantisation="binary", on_disk=True), 0.5),
        (Layout(on_disk=True, hnsw_m=8, hnsw_ef_construct=64), 0.8),
    ],
    ids=["float16", "int8", "binary-on-disk", "graph"],
)
def test_every_layout_finds_nearly_what_exact_search_finds(tmp_path, layout, share):
    """On a built graph; the exact switch finds all of it whatever the layout.

    One bit a number says little in 32 dimensions: the binary copy is only shown to be of use.
    """
    count, k = 3000, 10
    vectors = clustered(count)
    chunks = [make_chunk(i, patient=f"p{i % 7}") for i in range(count)]
    sparse = random_sparse(np.random.default_rng(1), count)
    truth = np.argsort(-(vectors[:40] @ vectors.T), axis=1)[:, :k]
    place = str(tmp_path / "x")
    with open_store(place, manifest={"dimension": 32}, layout=layout) as store:
        put(store, chunks, vectors, sparse)
        store._optimise_apart()
    for access, least in ((Access(exact=False), share), (Access(exact=True), 0.99)):
        with open_store(place, layout=layout, access=access) as store:
            hits = store.search_dense(vectors[:40], scope=EVERYBODY, k=k)
        found = [{int(hit.chunk.chunk_id[1:]) for hit in row} for row in hits]
        recall = np.mean([len(row & set(best)) / k for row, best in zip(found, truth, strict=True)])
        assert recall >= least


@pytest.mark.parametrize(
    ("layout", "kind"), [(None, "in_ram_mmap"), (Layout(on_disk=True), "mmap")]
)
def test_texts_are_where_the_vectors_are(tmp_path, layout, kind):
    """By the engine's own books, before and after it has built a graph."""
    with open_store(str(tmp_path / "x"), manifest={"dimension": 8}, layout=layout) as store:
        put(store, [make_chunk(0)], clustered(1, 8), random_sparse(np.random.default_rng(1), 1))
        store._optimise_apart()
        books = [*(tmp_path / "x" / "shard" / "segments").glob("*/segment.json")]
        kept = [json.loads(book.read_text())["config"]["payload_storage_type"] for book in books]
    assert kept and all(one == {"type": kind} for one in kept)


def test_a_layout_is_chosen_once(tmp_path):
    place = str(tmp_path / "x")
    open_store(place, manifest={"dimension": 8}, layout=Layout(quantisation="int8")).close()
    open_store(place).close()
    with pytest.raises(BadArgument, match=r"was made with .*int8.*store copy"):
        open_store(place, layout=Layout(quantisation="binary"))
    open_store(place, layout=Layout(quantisation="int8")).close()  # and the lock was let go


def test_a_store_from_before_layouts_has_the_default_one(tmp_path):
    place = tmp_path / "x"
    open_store(str(place), manifest={"dimension": 8}).close()
    manifest = json.loads((place / "manifest.json").read_text())
    del manifest["layout"]
    (place / "manifest.json").write_text(json.dumps(manifest))
    with open_store(str(place), layout=Layout()) as store:
        assert store.layout == Layout(precision="float32")


def test_a_folder_has_no_shards_and_memory_no_layout(tmp_path):
    with pytest.raises(BadArgument, match="no shards"):
        open_store(str(tmp_path / "x"), manifest={"dimension": 8}, layout=Layout(shards=2))
    assert not (tmp_path / "x").exists()
    with pytest.raises(BadArgument, match="no layout"):
        open_store(":memory:", manifest={"dimension": 8}, layout=Layout(on_disk=True))


def test_compacting_keeps_the_layout(tmp_path):
    layout = Layout(quantisation="int8", precision="float16")
    with open_store(str(tmp_path / "x"), manifest={"dimension": 8}, layout=layout) as store:
        made = vectors_of(tmp_path / "x")
        rng = np.random.default_rng(0)
        put(store, [make_chunk(i) for i in range(5)], random_vectors(rng, 5), random_sparse(rng, 5))
        store.compact()
        assert store.count(scope=EVERYBODY) == 5
    assert made["datatype"] == "float16" and made["quantization_config"]["scalar"]["type"] == "int8"
    assert vectors_of(tmp_path / "x") == made


def vectors_of(place):
    """What the engine's own files say of the dense vectors."""
    config = json.loads((place / "shard" / "edge_config.json").read_text())
    return config["vectors"]["dense"]
