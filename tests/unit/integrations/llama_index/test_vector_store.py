"""`DrEhrVectorStore`: what is its own; what every store must do stands in the suites."""

import asyncio
import copy
import logging
import pickle
import random
import threading

import numpy as np
import pytest
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.settings import Settings
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from drehr_rag import ward
from drehr_rag.errors import (
    BadArgument,
    EncoderMismatch,
    ScopeError,
    ScopeRequired,
    StoreError,
    StoreMissing,
    TracingRefused,
)
from drehr_rag.index import EhrIndex
from drehr_rag.integrations import langchain
from drehr_rag.integrations.llama_index import DrEhrEmbedding, DrEhrVectorStore
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._fusion import relative_scores
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Cohort, Encounter, Patient, Ranked

EVERYBODY = AllPatients(reason="test")
ENCODER = HashEncoder(dimension=32, query_prompt="find: ")
MODEL = DrEhrEmbedding(encoder=ENCODER)


def node(name, text="gout", patient="p1", **fields):
    fields.setdefault("metadata", {} if patient is None else {"patient_id": patient})
    fields.setdefault("excluded_embed_metadata_keys", list(fields["metadata"]))
    made = TextNode(id_=name, text=text, **fields)
    made.embedding = MODEL.get_text_embedding(text)
    return made


@pytest.fixture
def store():
    with DrEhrVectorStore.open(":memory:", scope=EVERYBODY, encoder=ENCODER) as store:
        yield store


@pytest.fixture(scope="module")
def full():
    """The ward, indexed by the core."""
    with EhrIndex.open(":memory:", encoder=ENCODER) as index:
        index.add(ward.notes())
        yield DrEhrVectorStore(index, scope=EVERYBODY)


def ask(words="chest pain", mode="default", k=7, **conditions):
    return VectorStoreQuery(
        query_str=words,
        query_embedding=MODEL.get_query_embedding(words),
        mode=VectorStoreQueryMode(mode),
        similarity_top_k=k,
        **conditions,
    )


# -- searching -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "core"),
    [
        ("default", "dense"),
        ("sparse", "lexical"),
        ("text_search", "lexical"),
        ("hybrid", "expanded"),
    ],
)
@pytest.mark.parametrize("scope", [Patient("p04"), Cohort(["p01", "p04"]), EVERYBODY])
def test_finds_what_the_core_finds(full, mode, core, scope):
    hits = full.client.search("chest pain", scope=scope, mode=core, k=7)
    bound = full.with_scope(scope)
    for found in (bound.query(ask(mode=mode)), asyncio.run(bound.aquery(ask(mode=mode)))):
        assert found.ids == [hit.chunk.chunk_id for hit in hits]
        assert found.similarities == [hit.score for hit in hits]
    assert len(hits) == 7


def test_without_other_words_hybrid_is_the_cores(full):
    plain = DrEhrVectorStore(full.client, scope=EVERYBODY, expand=False)
    hits = full.client.search("chest pain", scope=EVERYBODY, mode="hybrid", k=7)
    assert plain.query(ask(mode="hybrid")).similarities == [hit.score for hit in hits]
    narrower = plain.with_scope(Patient("p04"))
    hits = full.client.search("chest pain", scope=Patient("p04"), mode="hybrid", k=7)
    assert narrower.query(ask(mode="hybrid")).similarities == [hit.score for hit in hits]


def test_alpha_is_what_the_vectors_count(full):
    everything = {"scope": EVERYBODY, "k": 7}
    words = full.client.search("chest pain", mode="lexical", **everything)
    vectors = full.client.search("chest pain", mode="dense", **everything)
    assert full.query(ask(mode="hybrid", alpha=0.0)).ids == [h.chunk.chunk_id for h in words]
    assert full.query(ask(mode="hybrid", alpha=1.0)).ids == [h.chunk.chunk_id for h in vectors]
    default, same = full.query(ask(mode="hybrid")), full.query(ask(mode="hybrid", alpha=0.3))
    assert default == same
    assert full.query(ask(mode="hybrid", alpha=0.8)).similarities != default.similarities
    for wrong in (-0.1, 1.1):
        with pytest.raises(BadArgument, match="alpha"):
            full.query(ask(mode="hybrid", alpha=wrong))


def test_how_many(full):
    assert len(full.query(ask(mode="hybrid", k=3, hybrid_top_k=5)).ids) == 5
    assert len(full.query(ask(mode="sparse", k=3, sparse_top_k=5)).ids) == 5
    assert len(full.query(ask(k=3, hybrid_top_k=5, sparse_top_k=5)).ids) == 3
    for k in (0, -1, None, True):
        with pytest.raises(BadArgument, match="similarity_top_k"):
            full.query(ask(k=k))


def test_filters_are_applied_before_the_two_sides_are_joined(full):
    """As in the core, where a filter that the store knows gives the same list."""
    by_section = MetadataFilter(key="section", value="medications")
    filters = MetadataFilters(filters=[by_section])
    hits = full.client.search("metoprolol", scope=EVERYBODY, section="medications", k=9)
    found = full.query(ask("metoprolol", mode="hybrid", k=9, filters=filters))
    assert found.ids == [hit.chunk.chunk_id for hit in hits]
    assert found.similarities == [hit.score for hit in hits]


def test_a_filter_that_the_store_does_not_know_sifts_each_side(full):
    """Each side gives its 200 best that pass, and those are joined as the core joins them."""
    full = DrEhrVectorStore(full.client, scope=EVERYBODY, expand=False)
    letter = MetadataFilter(key="note_type", value="etter", operator=FilterOperator.TEXT_MATCH)
    core = full.client.store
    vector = np.array([MODEL.get_query_embedding("metoprolol")], dtype=np.float32)
    sides = {
        "dense": core.search_dense(vector, scope=EVERYBODY, k=10_000)[0],
        "lexical": core.search_sparse(sparse_queries(["metoprolol"]), scope=EVERYBODY, k=10_000)[0],
    }
    passed = {
        side: [Ranked(h.chunk.chunk_id, h.score) for h in hits if "etter" in h.chunk.note_type][
            :200
        ]
        for side, hits in sides.items()
    }
    expected = relative_scores(passed)[:9]
    found = full.query(
        ask("metoprolol", mode="hybrid", k=9, filters=MetadataFilters(filters=[letter]))
    )
    assert found.ids == [one.chunk_id for one in expected]
    assert found.similarities == [one.score for one in expected]
    assert 0 < len(passed["lexical"]) < len(sides["lexical"])


def test_a_filter_that_few_nodes_meet_finds_them_all(store):
    """They stand far behind others, so that it must be asked again."""
    near = [node(f"near{i}", "gout gout", metadata={"n": i}) for i in range(600)]
    far = [node(f"far{i}", "something else entirely", metadata={"n": -i}) for i in range(1, 4)]
    store.add([*near, *far])
    rare = MetadataFilters(
        filters=[MetadataFilter(key="n", value=0, operator=FilterOperator.LT)], condition="and"
    )
    found = store.query(ask("gout gout", k=2, filters=rare))
    assert len(found.ids) == 2
    assert set(found.ids) < {"far1", "far2", "far3"}
    assert set(store.query(ask("gout gout", k=50, filters=rare)).ids) == {"far1", "far2", "far3"}


@pytest.mark.parametrize("mode", ["mmr", "svm", "semantic_hybrid", "linear_regression"])
def test_modes_it_has_not(full, mode):
    with pytest.raises(BadArgument, match="default, sparse, text_search, hybrid"):
        full.query(ask(mode=mode))


@pytest.mark.parametrize(
    "query",
    [
        VectorStoreQuery(query_str="gout"),
        VectorStoreQuery(query_embedding=[0.0] * 32, mode=VectorStoreQueryMode.SPARSE),
        VectorStoreQuery(query_embedding=[0.1] * 32, mode=VectorStoreQueryMode.HYBRID),
        VectorStoreQuery(query_str="gout", mode=VectorStoreQueryMode.HYBRID),
        VectorStoreQuery(query_str="?!", mode=VectorStoreQueryMode.SPARSE),
        VectorStoreQuery(query_embedding=[0.1] * 32, output_fields=["text"]),
        VectorStoreQuery(query_embedding=[0.1] * 32, embedding_field="other"),
        VectorStoreQuery(query_embedding=[0.1] * 32, mmr_threshold=0.5),
        VectorStoreQuery(query_embedding="gout"),
        VectorStoreQuery(query_embedding=[0.1] * 32, node_ids="p1"),
        VectorStoreQuery(query_embedding=[0.1] * 32, doc_ids=["d", None]),
    ],
)
def test_queries_that_cannot_be_meant(full, query):
    with pytest.raises(BadArgument):
        full.query(query)


def test_vectors_that_do_not_fit_are_refused(full):
    for vector in ([0.1] * 31, [float("nan")] * 32, [1e300] * 32):
        with pytest.raises(StoreError):
            full.query(VectorStoreQuery(query_embedding=vector))


def test_unknown_options_are_refused(full):
    """Qdrant's own `qdrant_filters` took the place of the patient's filter."""
    for call in (
        lambda: full.query(ask(), qdrant_filters={}),
        lambda: full.add([], shard_identifier=1),
        lambda: full.delete("d", force=True),
        lambda: full.delete_nodes(["d"], force=True),
    ):
        with pytest.raises(BadArgument, match="no option"):
            call()
    with pytest.raises(TypeError):
        DrEhrVectorStore(full.client, scope=EVERYBODY, collection_name="notes")
    with pytest.raises(ValueError, match="no field"):
        full.collection_name = "notes"


# -- scope -----------------------------------------------------------------------------------


def test_a_scope_is_required_and_only_narrows(full):
    for no_scope in (None, "p1", {}):
        with pytest.raises(ScopeRequired):
            DrEhrVectorStore(full.client, scope=no_scope)
        with pytest.raises(ScopeRequired):
            DrEhrVectorStore.open(":memory:", scope=no_scope, encoder=ENCODER)
        with pytest.raises(ScopeRequired):
            full.with_scope(no_scope)
    with pytest.raises(TypeError, match="scope"):
        DrEhrVectorStore(full.client)
    narrow = full.with_scope(Patient("p01"))
    with pytest.raises(ScopeError):
        narrow.with_scope(EVERYBODY)
    stay = narrow.with_scope(Encounter("p01", "p01-e1"))
    assert {n.metadata["encounter_id"] for n in stay.get_nodes()} == {"p01-e1"}
    for view in (copy.copy(narrow), copy.deepcopy(narrow), narrow.model_copy()):
        assert view.scope == Patient("p01")
        assert {n.metadata["patient_id"] for n in view.get_nodes()} == {"p01"}


def test_a_filter_for_somebody_else_finds_nobody(full):
    other = MetadataFilters(filters=[MetadataFilter(key="patient_id", value="p04")])
    assert full.with_scope(Patient("p01")).query(ask(filters=other)).ids == []
    mine = full.query(ask(filters=other, k=100))
    assert {n.metadata["patient_id"] for n in mine.nodes} == {"p04"}


def test_nodes_of_nobody_are_for_all_patients_alone(store):
    store.add([node("n1", patient=None), node("n2")])
    assert len(store.get_nodes()) == 2
    assert [n.node_id for n in store.with_scope(Cohort(["p1"])).get_nodes()] == ["n2"]
    with pytest.raises(ScopeError, match="nothing was written"):
        store.with_scope(Patient("p1")).add([node("n3", patient=None)])


def test_an_id_of_another_patient_is_not_taken_over(store):
    """Even by one who may write for everybody: mixed-up ids would lose a note."""
    store.add([node("n1", patient="p1")])
    with pytest.raises(ScopeError, match="'n1' is taken"):
        store.add([node("n1", patient="p2")])
    store.delete_nodes(["n1"])
    store.add([node("n1", patient="p2")])


def test_a_note_of_another_patient_or_stay_is_not_joined(store):
    of = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="note1")}
    stay = {"patient_id": "p1", "encounter_id": "e1"}
    store.add([node("n1", metadata=stay, relationships=of)])
    for scope, metadata in (
        (Patient("p2"), {"patient_id": "p2"}),
        (EVERYBODY, {"patient_id": "p2"}),
        (EVERYBODY, {}),
        (Encounter("p1", "e2"), {"patient_id": "p1", "encounter_id": "e2"}),
    ):
        with pytest.raises(ScopeError, match="note 'note1' is taken"):
            store.with_scope(scope).add([node("n2", metadata=metadata, relationships=of)])
    of2 = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="note2")}
    two = [node(f"n{p}", patient=p, relationships=of2) for p in ("p1", "p2")]
    with pytest.raises(ScopeError, match="note 'note2' is given to two patients"):
        store.add(two)
    assert [held.node_id for held in store.get_nodes()] == ["n1"]
    store.with_scope(Encounter("p1", "e1")).add([node("n3", metadata=stay, relationships=of)])


def test_clear_takes_a_scope_and_never_everybody(store):
    store.add([node("n1"), node("n2", patient="p2"), node("n3", patient=None)])
    with pytest.raises(BadArgument, match="every patient"):
        store.clear()
    with pytest.raises(BadArgument, match="every patient"):
        asyncio.run(store.aclear())
    store.with_scope(Patient("p1")).clear()
    asyncio.run(store.with_scope(Cohort(["p2", "p9"])).aclear())
    assert [n.node_id for n in store.get_nodes()] == ["n3"]


def test_notes_of_the_core_and_nodes_in_one_store(full, tmp_path):
    """The core finds nodes; its own chunks of a note take the place of that note's nodes."""
    note = ward.notes()[0]
    with DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER) as store:
        metadata = {"patient_id": note.patient_id, "section": "PMH"}
        source = {"1": {"node_id": note.note_id}}
        store.add([node("by-hand", "gout", metadata=metadata, relationships=source)])
        core = store.client
        (hit,) = core.search("gout", scope=EVERYBODY, section="past medical history")
        assert (hit.chunk.chunk_id, hit.chunk.note_id) == ("by-hand", note.note_id)
        assert core.add([note]).replaced == 1
        assert "by-hand" not in {n.node_id for n in store.get_nodes()}
        assert core.add([note]).unchanged == 1


# -- writing ---------------------------------------------------------------------------------


def test_ten_thousand_nodes_in_one_call(tmp_path):
    nodes = [node(f"n{i}", f"gout word{i}", patient=f"p{i % 50}") for i in range(10_000)]
    with DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER) as store:
        assert len(asyncio.run(store.async_add(iter(nodes)))) == 10_000
        assert store.client.count(scope=EVERYBODY) == 10_000
        (found,) = store.query(ask("word4321", mode="sparse", k=1)).nodes
        assert found.node_id == "n4321"
        assert len(store.get_nodes()) == 10_000
        store.delete_nodes([f"n{i}" for i in range(9_990)])
        assert store.client.count(scope=EVERYBODY) == 10


def test_the_same_node_twice_is_one_and_two_of_one_id_are_an_error(store):
    assert store.add([node("n1"), node("n1")]) == ["n1", "n1"]
    assert len(store.get_nodes()) == 1
    with pytest.raises(BadArgument, match="two different nodes have the id 'n2'"):
        store.add([node("n2"), node("n2", "fever")])
    assert len(store.get_nodes()) == 1


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (node("n1"), "not one node"),
        ("n1", "nodes is a list"),
        (None, "nodes is a list"),
        (["n1"], "node 0 is str"),
        ([None], "node 0 is NoneType"),
        ([TextNode(id_="n1", text="x")], "'n1' has no embedding"),
        ([TextNode(id_="n1", text="x", embedding=[0.0] * 32)], "zero or not finite"),
        ([TextNode(id_="n1", text="x", embedding=[float("nan")] * 32)], "zero or not finite"),
        ([TextNode(id_="n1", text="x", embedding=[1e300] * 32)], "zero or not finite"),
        ([node("ok"), TextNode(id_="n1", text="x", embedding=[0.5])], "not of one length"),
    ],
)
def test_what_cannot_be_written_is_told_and_nothing_is_written(store, nodes, reason):
    with pytest.raises(BadArgument, match=reason):
        store.add(nodes)
    assert store.get_nodes() == []


def test_vectors_of_another_length_are_not_written(store):
    with pytest.raises(StoreError, match="32-d"):
        store.add([TextNode(id_="n1", text="x", embedding=[0.5] * 31)])
    assert store.get_nodes() == []


def test_ids_may_come_from_a_generator(store):
    store.add([node("n1"), node("n2"), node("n3")])

    def ids():
        yield from ("n3", "n1")

    rare = MetadataFilters(filters=[MetadataFilter(key="patient_id", value="p1")])
    assert [n.node_id for n in store.get_nodes(ids())] == ["n3", "n1"]
    assert [n.node_id for n in store.get_nodes(ids(), rare)] == ["n3", "n1"]
    assert set(store.query(ask(node_ids=ids())).ids) == {"n3", "n1"}
    store.delete_nodes(ids(), rare)
    assert [n.node_id for n in store.get_nodes()] == ["n2"]


def test_an_empty_node_is_kept(store):
    store.add([node("n1", ""), node("n2")])
    assert [n.text for n in store.get_nodes(["n1"])] == [""]
    assert store.query(ask("gout", mode="sparse")).ids == ["n2"]


def test_vectors_of_another_model_are_refused(tmp_path):
    other = DrEhrEmbedding(encoder=HashEncoder(dimension=32, salt="x"))
    stranger = node("n1", "gout of the left toe")
    stranger.embedding = other.get_text_embedding(stranger.text)
    swapped = node("n1", "gout of the left toe")
    swapped.embedding = MODEL.get_query_embedding("heart")  # of another text
    for wrong in (stranger, swapped):
        with DrEhrVectorStore.open(":memory:", scope=EVERYBODY, encoder=ENCODER) as store:
            with pytest.raises(EncoderMismatch, match="check_vectors=False") as error:
                store.add([wrong])
            assert "toe" not in str(error.value)
            assert store.get_nodes() == []
    unchecked = DrEhrVectorStore.open(
        ":memory:", scope=EVERYBODY, encoder=ENCODER, check_vectors=False
    )
    assert unchecked.add([stranger]) == ["n1"]


def test_vectors_are_checked_once(store):
    store.add([node("n1")])
    calls = []
    encode = ENCODER.encode_passages
    ENCODER.encode_passages = lambda texts: calls.append(texts) or encode(texts)
    try:
        store.with_scope(Patient("p1")).add([node("n2")])
        assert [c for c in calls if c != ["gout"]] == []
        assert len(calls) == 1  # the one that made the node
    finally:
        del ENCODER.encode_passages


def test_metadata_in_the_vector_is_told_by_name_only(store, caplog):
    shown = node("n1", metadata={"patient_id": "p77", "mrn": "secret"})
    shown.excluded_embed_metadata_keys = []
    shown.embedding = MODEL([shown])[0].embedding
    with caplog.at_level(logging.WARNING):
        store.add([shown])
    assert "mrn, patient_id" in caplog.text
    assert "p77" not in caplog.text and "secret" not in caplog.text
    caplog.clear()
    store.add([node("n2")])
    assert caplog.text == ""


# -- many at once ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [":memory:", "folder"])
def test_readers_and_writers_at_once(place, tmp_path):
    location = place if place == ":memory:" else tmp_path / "idx"
    with DrEhrVectorStore.open(location, scope=EVERYBODY, encoder=ENCODER) as store:
        store.add([node("n", "gout")])

        async def all_at_once():
            writes = [
                store.async_add([node(f"n{i}-{j}", f"gout {i}") for j in range(20)])
                for i in range(15)
            ]
            reads = [store.aquery(ask("gout", mode=m, k=400)) for m in ("hybrid", "sparse")] * 10
            gets = [store.aget_nodes() for _ in range(10)]
            return await asyncio.gather(*writes, *reads, *gets)

        asyncio.run(all_at_once())
        assert len(store.get_nodes()) == 301


def test_closing_waits_for_a_write_that_was_cancelled(tmp_path, monkeypatch):
    started, may_end = threading.Event(), threading.Event()
    store = DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER)
    write = type(store.client.store)._write

    def slowly(self, points):
        started.set()
        assert may_end.wait(20)
        write(self, points)

    monkeypatch.setattr(type(store.client.store), "_write", slowly)

    async def cancel():
        task = asyncio.create_task(store.async_add([node("n1"), node("n2")]))
        await asyncio.to_thread(started.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        threading.Timer(0.05, may_end.set).start()
        await asyncio.to_thread(store.close)

    asyncio.run(cancel())
    with DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER) as again:
        assert len(again.get_nodes()) == 2


# -- keeping ---------------------------------------------------------------------------------


def test_persist_notes_the_place_and_no_patient(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with DrEhrVectorStore.open("idx", scope=Patient("p1"), encoder=ENCODER) as store:
        store.add([node("n1", "gout of the left toe")])
        StorageContext.from_defaults(vector_store=store).persist("kept")
    noted = (tmp_path / "kept" / "default__drehr_store.json").read_text()
    assert str(tmp_path / "idx") in noted
    assert "p1" not in noted and "toe" not in noted
    monkeypatch.chdir("/")
    kept = str(tmp_path / "kept")
    with pytest.raises(TypeError, match="scope"):
        DrEhrVectorStore.from_persist_dir(kept)
    with pytest.raises(ScopeRequired):
        DrEhrVectorStore.from_persist_dir(kept, scope=None)
    with DrEhrVectorStore.from_persist_dir(kept, scope=EVERYBODY, encoder=ENCODER) as again:
        assert len(again.get_nodes()) == 1
    with pytest.raises(EncoderMismatch):
        DrEhrVectorStore.from_persist_dir(kept, scope=EVERYBODY, encoder=HashEncoder())
    with pytest.raises(StoreError, match="persist it first"):
        DrEhrVectorStore.from_persist_dir(str(tmp_path), scope=EVERYBODY)


def test_loading_without_the_store_is_an_error_and_no_empty_index(tmp_path):
    with DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER) as store:
        context = StorageContext.from_defaults(vector_store=store)
        VectorStoreIndex([node("n1")], storage_context=context, embed_model=MODEL)
        context.persist(str(tmp_path / "kept"))
    with pytest.raises(KeyError, match="default"):
        load_index_from_storage(
            StorageContext.from_defaults(persist_dir=str(tmp_path / "kept")), embed_model=MODEL
        )


@pytest.mark.parametrize("how", ["persist", "close"])
def test_what_was_deleted_leaves_the_files_too(tmp_path, how):
    """Not at each deletion, since a pipeline deletes document by document."""
    secret = "unmistakable words"

    def on_disk():
        files = [path for path in (tmp_path / "idx").rglob("*") if path.is_file()]
        return any(secret.encode() in path.read_bytes() for path in files)

    with DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER) as store:
        store.add([node("n1", secret), node("n2")])
        store.delete_nodes(["n1"])
        assert on_disk()
        if how == "persist":
            store.persist(str(tmp_path / "vector_store.json"))
            assert not on_disk()
    assert not on_disk()


def test_a_store_in_memory_says_that_it_cannot_be_saved(store, tmp_path):
    with pytest.raises(StoreError, match="in memory"):
        store.persist(str(tmp_path / "v.json"))
    with pytest.raises(BadArgument, match="open it again"):
        pickle.dumps(store)


def test_opening(tmp_path):
    with pytest.raises(StoreMissing):
        DrEhrVectorStore.open(tmp_path / "none", scope=EVERYBODY)
    with pytest.raises(StoreMissing):
        DrEhrVectorStore.open(tmp_path / "none", scope=EVERYBODY, encoder=ENCODER, create=False)
    store = DrEhrVectorStore.open(tmp_path / "idx", scope=EVERYBODY, encoder=ENCODER)
    view = store.with_scope(Patient("p1"))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        view.get_nodes()


def test_a_tracer_is_refused(store):
    class Hosted(LlamaDebugHandler):
        pass

    store.add([node("n1")])
    Settings.callback_manager = CallbackManager([Hosted(print_trace_on_end=False)])
    try:
        for call in (
            lambda: store.query(VectorStoreQuery(query_embedding=[0.1] * 32)),
            lambda: store.get_nodes(),
            lambda: store.add([]),
            lambda: DrEhrVectorStore(store.client, scope=EVERYBODY),
        ):
            with pytest.raises(TracingRefused):
                call()
    finally:
        Settings._callback_manager = None


# -- metadata --------------------------------------------------------------------------------


def test_metadata_comes_back_to_the_last_digit(tmp_path):
    """Qdrant's engine changes one float in eight; what a node carries is kept as text."""
    chance = random.Random(0)
    values = [chance.uniform(0, 100) for _ in range(100)]
    nodes = [node(f"n{i}", metadata={"v": value}, patient=None) for i, value in enumerate(values)]
    with DrEhrVectorStore.open(tmp_path / "x", scope=EVERYBODY, encoder=ENCODER) as store:
        store.add(nodes)
        found = {one.node_id: one for one in store.get_nodes()}
        assert [found[one.node_id].metadata for one in nodes] == [one.metadata for one in nodes]
        assert [found[one.node_id].hash for one in nodes] == [one.hash for one in nodes]
        for value in values:
            equal = MetadataFilters(filters=[MetadataFilter(key="v", value=value)])
            assert len(store.get_nodes(filters=equal)) == 1


def test_either_framework_reads_the_other_s_metadata():
    given = {"patient_id": "p1", "page": 3, "at": 96.00788169648591}
    with EhrIndex.open(":memory:", encoder=ENCODER) as index:
        mine = DrEhrVectorStore(index, scope=EVERYBODY)
        theirs = langchain.DrEhrVectorStore(index, scope=EVERYBODY)
        mine.add([node("a", metadata=given)])
        theirs.add_texts(["gout"], [given], ids=["b"])
        assert [d.metadata for d in theirs.get_by_ids(["a", "b"])] == [given, given]
        page = MetadataFilters(filters=[MetadataFilter(key="page", value=3)])
        assert {n.node_id: n.metadata for n in mine.get_nodes(filters=page)} == {
            "a": given,
            "b": given,
        }


@pytest.mark.parametrize("mode", ["default", "hybrid", "sparse", "text_search"])
@pytest.mark.parametrize("words", ["", "  ", "?!"])
def test_an_empty_query_is_called_that_through_an_index_on_top(full, mode, words):
    """LlamaIndex makes no vector of an empty query, and would make one of a blank one."""
    index = VectorStoreIndex.from_vector_store(full, embed_model=MODEL)
    retriever = index.as_retriever(vector_store_query_mode=mode)
    for call in (retriever.retrieve, lambda words: asyncio.run(retriever.aretrieve(words))):
        with pytest.raises(BadArgument, match=r"the query (is empty|holds no letter)"):
            call(words)


def test_a_vector_alone_needs_no_words(full):
    vector = MODEL.get_query_embedding("chest pain")
    for words in (None, ""):
        query = VectorStoreQuery(query_embedding=vector, query_str=words, similarity_top_k=3)
        assert full.query(query).ids == full.query(ask(k=3)).ids
    with pytest.raises(BadArgument, match="needs the query's vector"):
        full.query(VectorStoreQuery())
