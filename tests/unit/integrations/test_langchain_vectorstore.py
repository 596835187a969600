"""`DrEhrVectorStore`: what it is given comes back as it was, or is refused by name."""

import asyncio
import copy
import datetime
import enum
import pickle
import threading

import numpy as np
import pytest
from framework_notes import few_notes, loop_turns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from pydantic import ValidationError

from drehr_rag import AllPatients, Cohort, EhrIndex, Encounter, Patient
from drehr_rag.errors import (
    BadArgument,
    EncoderError,
    EncoderMismatch,
    ScopeError,
    ScopeRequired,
    StoreError,
    StoreMissing,
    TracingRefused,
    UnknownName,
)
from drehr_rag.integrations.langchain import DrEhrEmbeddings, DrEhrRetriever, DrEhrVectorStore
from drehr_rag.testing import HashEncoder

EVERYBODY = AllPatients(reason="test")
QUERY = "heart failure"


def embedding():
    return DrEhrEmbeddings.of(HashEncoder(dimension=64))


@pytest.fixture(params=["memory", "edge"])
def store(request, tmp_path):
    place = ":memory:" if request.param == "memory" else tmp_path / "docs.idx"
    opened = DrEhrVectorStore.open(place, embedding=embedding(), scope=EVERYBODY)
    yield opened
    opened.index.close()


@pytest.fixture
def ward(few):
    """The notes of p1, p2 and p3, and a document of nobody."""
    opened = DrEhrVectorStore(few, scope=EVERYBODY)
    opened.add_texts(["Heart failure guideline."], ids=["guideline"])
    return opened


def of(patient, text="Heart failure.", **metadata):
    return Document(page_content=text, metadata={"patient_id": patient, **metadata})


def everything(store):
    return sorted(chunk.chunk_id for chunk in store.index.store.scan(scope=EVERYBODY))


# --- the same as the core


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical", "rrf", "expanded"])
@pytest.mark.parametrize("scope", [EVERYBODY, Patient("p1"), Encounter("p1", "e2"), Cohort([])])
async def test_the_same_chunks_order_and_scores_as_the_core(few, mode, scope):
    hits = few.search(QUERY, scope=scope, k=3, mode=mode)
    expected = [(hit.chunk.chunk_id, hit.chunk.text, hit.score) for hit in hits]
    store = DrEhrVectorStore(few, scope=scope, mode=mode)
    scored = store.similarity_search_with_score(QUERY, 3)
    assert [(d.id, d.page_content, score) for d, score in scored] == expected
    documents = [document for document, _ in scored]
    assert store.similarity_search(QUERY, k=3) == documents
    assert await store.asimilarity_search_with_score(QUERY, 3) == scored
    assert await store.asimilarity_search(QUERY, 3) == documents
    assert store.as_retriever(search_kwargs={"k": 3}).invoke(QUERY) == documents
    assert store.search(QUERY, "similarity", k=3) == documents


async def test_a_vector_finds_what_its_text_finds(few):
    hits = few.search(QUERY, scope=Patient("p1"), k=3, mode="dense")
    store = DrEhrVectorStore(few, scope=Patient("p1"))
    vector = store.embeddings.embed_query(QUERY)
    found = store.similarity_search_by_vector(vector, 3)
    assert [document.id for document in found] == [hit.chunk.chunk_id for hit in hits]
    assert await store.asimilarity_search_by_vector(vector, 3) == found


def test_notes_added_as_documents_are_found_as_the_core_s_own():
    """Chunk by chunk: the same ids, texts, offsets, order and scores."""
    with EhrIndex.open(":memory:", encoder=HashEncoder(dimension=64)) as core:
        core.add(few_notes())
        expected = core.search(QUERY, scope=EVERYBODY, k=9)
        documents = DrEhrVectorStore(core, scope=EVERYBODY).similarity_search(QUERY, k=9)
    store = DrEhrVectorStore.open(":memory:", embedding=embedding(), scope=EVERYBODY)
    store.add_documents(documents)
    found = store.similarity_search_with_score(QUERY, k=9)
    assert [d for d, _ in found] == documents
    assert [d.id for d, _ in found] == [hit.chunk.chunk_id for hit in expected]
    assert [score for _, score in found] == pytest.approx([h.score for h in expected], abs=1e-5)
    again = store.index.search(QUERY, scope=Patient("p1"), section="PMH")
    assert again == []
    plan = store.index.search(QUERY, scope=Patient("p1"), section="plan", since="2180-02-01")
    assert [(h.chunk.note_id, h.chunk.encounter_id, h.chunk.start) for h in plan] == [
        ("n2", "e2", 0)
    ]


# --- what is given comes back


def test_ids_and_metadata_come_back_and_inputs_stay_as_they_are(store):
    metadata = {"source": "a.pdf", "deep": {"list": [1, 2.5, None, True, "ü"], "": {}}, "n": 1.0}
    given = [Document(page_content="foo", metadata=metadata), Document(page_content="bar", id="b")]
    copies = [document.model_copy(deep=True) for document in given]
    ids = store.add_documents(given)
    assert given == copies and ids[1] == "b" and ids[0]
    back = store.get_by_ids(ids)
    assert back == [Document(id=ids[0], page_content="foo", metadata=metadata), given[1]]
    assert type(back[0].metadata["n"]) is float
    back[0].metadata["deep"]["list"].append("changed")
    given[0].metadata["deep"]["list"].append("changed")
    assert store.get_by_ids(ids)[0].metadata == copies[0].metadata


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadata=st.dictionaries(st.text(), json_values, max_size=4), chunk_id=st.text(min_size=1))
def test_any_json_metadata_comes_back_equal(store, metadata, chunk_id):
    document = Document(page_content="x", metadata=metadata, id=chunk_id)
    try:
        store.add_documents([document])
    except BadArgument:  # blank ids, fields of ours that hold no id or time: said, not changed
        ours = {"patient_id", "encounter_id", "note_id", "written_at"} & set(metadata)
        assert not chunk_id.strip() or ours
        return
    back = store.get_by_ids([chunk_id])
    assert back == [document]
    assert _same(back[0].metadata, metadata)


def _same(one, other):
    """Equal, and of the same types: 1, 1.0 and True are three values."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"when": datetime.date(2180, 1, 1)}, r"metadata\['when'\] \(date\)"),
        ({"ok": 1, "a": {"b": [1, {2}]}}, r"metadata\['a'\] \(dict\)"),
        ({"a": (1, 2)}, "tuple"),
        ({"a": [(1, 2)]}, "list"),
        ({1: "a"}, "a key that is int"),
        ({"a": {None: 1}}, "text for keys"),
        ({"a": {1: 1}}, "text for keys"),
        ({"a": float("nan")}, "finite"),
        ({"a": [float("-inf")]}, "finite"),
        ({"a": b"x"}, "bytes"),
        ({"a": Colour.RED}, "Colour"),
        ({"a": np.int64(3)}, "int64"),
        ({"a": object}, "type"),
        ({"a": "\ud800"}, "'a'"),
        ({"\ud800": 1}, "int"),
        ({"patient_id": ["p1"]}, "patient_id in metadata is missing"),
        ({"patient_id": ""}, "patient_id in metadata is empty"),
        ({"patient_id": 1.5}, "fraction"),
        ({"note_id": {}}, "note_id in metadata"),
        ({"encounter_id": True}, "encounter_id in metadata"),
        ({"written_at": "next week"}, "written_at in metadata is not a date"),
    ],
)
def test_metadata_that_cannot_be_kept_is_refused_and_nothing_is_written(store, metadata, said):
    good = Document(page_content="Warfarin.")
    with pytest.raises(BadArgument, match=said) as caught:
        store.add_documents([good, Document(page_content="Digoxin.", metadata=metadata, id="x")])
    assert "documents[1] (id 'x')" in str(caught.value)
    assert "Digoxin" not in str(caught.value)
    assert everything(store) == []


def test_nesting_has_an_end(store):
    deep = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(BadArgument, match="JSON"):
        store.add_documents([Document(page_content="x", metadata={"a": deep})])
    endless = {}
    endless["itself"] = endless
    with pytest.raises(BadArgument, match="JSON"):
        store.add_documents([Document(page_content="x", metadata=endless)])


@pytest.mark.parametrize("text", ["", " \n\t", "\u2003"])
def test_documents_without_text_are_refused(store, text):
    with pytest.raises(BadArgument, match=r"documents\[1\].*holds no text"):
        store.add_documents([Document(page_content="x"), Document(page_content=text)])
    with pytest.raises(BadArgument, match="surrogate"):
        store.add_texts(["\ud800"])
    assert everything(store) == []


# --- ids


async def test_ids_beside_none_repeated_and_generated(store):
    documents = [Document(page_content=text, id=own) for text, own in
                 (("a", "A"), ("b", None), ("c", "C"), ("d", None))]  # fmt: skip
    ids = store.add_documents(documents, ids=[None, "B", "new", None])
    assert ids[:3] == ["A", "B", "new"] and ids[3] not in ids[:3]
    assert [d.page_content for d in store.get_by_ids(ids)] == ["a", "b", "c", "d"]
    assert store.add_documents([documents[0], documents[0]]) == ["A", "A"]
    assert len(everything(store)) == 4
    with pytest.raises(BadArgument, match="two different documents have the id 'A'"):
        store.add_documents([documents[0], documents[1]], ids=["A", "A"])
    with pytest.raises(BadArgument, match="two different"):
        await store.aadd_texts(["a", "a"], [{"n": 1}, {"n": 2}], ids=["x", "x"])
    assert len(everything(store)) == 4


@pytest.mark.parametrize("ids", [["a"], ["a", "b", "c"], [], "ab", ["a", 1], ["a", ""],
                                 ["a", " "], [b"a", "b"], ["a", "\ud800"]])  # fmt: skip
def test_ids_that_do_not_fit_are_refused(store, ids):
    with pytest.raises(BadArgument, match="id"):
        store.add_texts(["x", "y"], ids=ids)
    with pytest.raises(BadArgument, match="id"):
        store.add_documents([Document(page_content="x"), Document(page_content="y")], ids=ids)
    assert everything(store) == []


def test_generators_are_as_good_as_lists(store):
    words = ["one", "two", "three"]
    ids = store.add_texts((w for w in words), ({"w": w} for w in words), ids=(w for w in words))
    assert ids == words == [d.metadata["w"] for d in store.get_by_ids(w for w in words)]
    made = (Document(page_content=word, id=word + "2") for word in words)
    assert len(store.add_documents(made)) == 3
    assert len(everything(store)) == 6


@pytest.mark.parametrize("metadatas", [[{}], [{}, {}, {}], []])
async def test_metadatas_that_do_not_fit_are_refused(store, metadatas):
    with pytest.raises(BadArgument, match="2 texts"):
        store.add_texts(["x", "y"], metadatas)
    with pytest.raises(BadArgument, match="2 texts"):
        await store.aadd_texts(["x", "y"], metadatas)
    assert everything(store) == []
    assert store.get_by_ids(store.add_texts(["x", "y"], [None, {"a": 1}]))[1].metadata == {"a": 1}


@pytest.mark.parametrize("wrong", ["text", Document(page_content="x"), None, 7, ["text"], [None],
                                   {"page_content": "x"}])  # fmt: skip
def test_what_is_no_list_of_documents_is_refused(store, wrong):
    with pytest.raises(BadArgument, match="documents"):
        store.add_documents(wrong)


def test_texts_that_are_none_are_refused(store):
    for wrong in ("text", None, 7, [None], [b"x"], ["x", 3]):
        with pytest.raises(BadArgument, match="texts"):
            store.add_texts(wrong)
    assert everything(store) == []


async def test_nothing_to_add_is_no_error(store):
    assert store.add_documents([]) == store.add_texts([]) == await store.aadd_documents([]) == []
    assert store.get_by_ids([]) == []


async def test_ten_thousand_in_one_call(store):
    documents = [of(f"p{n % 50}", f"word{n} heart", n=n) for n in range(10_000)]
    ids = await store.aadd_documents(documents)
    assert len(set(ids)) == 10_000 == len(everything(store))
    for n in (0, 1023, 1024, 5000, 9999):
        assert store.get_by_ids([ids[n]]) == [documents[n].model_copy(update={"id": ids[n]})]
    assert store.delete(ids[:5000]) is True
    assert len(everything(store)) == 5000
    assert {d.metadata["n"] % 50 for d in store.similarity_search("heart", k=200,
            scope=Patient("p7"))} == {7}  # fmt: skip


# --- deleting


@pytest.mark.parametrize("method", ["delete", "adelete"])
async def test_deleting_needs_ids(ward, method):
    async def call(*args, **kwargs):
        done = getattr(ward, method)(*args, **kwargs)
        return await done if method == "adelete" else done

    before = everything(ward)
    for wrong in ((), (None,)):
        with pytest.raises(BadArgument, match="delete needs ids"):
            await call(*wrong)
    for wrong in ("n1", [1], [None], [""], 5):
        with pytest.raises(BadArgument, match="id"):
            await call(wrong)
    with pytest.raises(TypeError, match="filter"):
        await call(["guideline"], filter={"patient_id": "p1"})
    assert await call([]) is True
    assert await call(["missing"]) is True
    assert everything(ward) == before
    assert await call(["guideline", "missing"]) is True
    assert everything(ward) == [chunk_id for chunk_id in before if chunk_id != "guideline"]


def test_what_is_deleted_leaves_the_files(tmp_path):
    place = tmp_path / "docs.idx"
    store = DrEhrVectorStore.from_texts(
        ["Xylophone phobia.", "Warfarin."], embedding(), ids=["a", "b"], location=place,
        scope=EVERYBODY)  # fmt: skip
    assert b"Xylophone" in files(place)
    store.delete(["a"])
    assert b"Xylophone" not in files(place) and b"Warfarin" in files(place)
    store.index.close()


def files(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# --- whose documents


OUTSIDE = [
    (Patient("p1"), of("p2")),
    (Patient("p1"), Document(page_content="x")),
    (Patient("p1"), Document(page_content="x", metadata={"patient_id": None})),
    (Cohort(["p1", "p3"]), of("p2")),
    (Cohort([]), of("p1")),
    (Encounter("p1", "e1"), of("p1")),
    (Encounter("p1", "e1"), of("p1", encounter_id="e2")),
    (Encounter("p1", "e1"), of("p2", encounter_id="e1")),
]


@pytest.mark.parametrize(("scope", "document"), OUTSIDE)
async def test_nothing_is_written_outside_the_scope(ward, scope, document):
    before = everything(ward)
    own = of("p1", "Inside.", encounter_id="e1")
    bound = DrEhrVectorStore(ward.index, scope=scope)
    for add in (bound.add_documents, bound.aadd_documents):
        with pytest.raises(ScopeError, match="nothing was written"):
            await done(add([own, document]))
        with pytest.raises(ScopeError, match="nothing was written"):
            await done((ward.add_documents if add == bound.add_documents else ward.aadd_documents)(
                [own, document], scope=scope))  # fmt: skip
    retriever = bound.as_retriever()
    with pytest.raises(ScopeError, match="nothing was written"):
        retriever.add_documents([own, document])
    with pytest.raises(ScopeError, match="nothing was written"):
        await ward.as_retriever(scope=scope).aadd_documents([own, document])
    assert everything(ward) == before


async def done(result):
    return await result if asyncio.iscoroutine(result) else result


def test_nobody_s_id_and_nobody_s_note_is_taken(ward):
    ward.add_documents([of("p2", "Original.", note_id="m2")], ids=["d2"])
    ward.add_documents([of("p1", "Original.", encounter_id="e1")], ids=["d1"])
    before = ward.get_by_ids(everything(ward))
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    stay = DrEhrVectorStore(ward.index, scope=Encounter("p1", "e2"))
    for store, document, chunk_id in (
        (p1, of("p1"), "d2"),
        (ward, of("p1"), "d2"),
        (ward, Document(page_content="x"), "d2"),
        (p1, of("p1", note_id="m2"), "new"),
        (ward, of("p1", note_id="m2"), "new"),
        (ward, of("p1", note_id="n3"), "new"),
        (stay, of("p1", encounter_id="e2"), "d1"),
        (p1, of("p1"), "guideline"),
        (p1, of("p1"), everything_of(ward, "p2")[0]),
    ):
        with pytest.raises(ScopeError, match="nothing was written"):
            store.add_documents([of("p1", encounter_id="e2"), document], ids=["fine", chunk_id])
    with pytest.raises(ScopeError, match="nothing was written"):  # two patients, one note
        ward.add_documents([of("p1", note_id="m"), of("p2", note_id="m")])
    assert ward.get_by_ids(everything(ward)) == before
    p1.add_documents([of("p1", "New.")], ids=["d1"])  # one's own may be replaced
    assert ward.get_by_ids(["d1"])[0].page_content == "New."


def everything_of(store, patient):
    chunks = store.index.store.scan(scope=Patient(patient))
    return sorted(chunk.chunk_id for chunk in chunks)


async def test_nothing_is_deleted_outside_the_scope(ward):
    before = everything(ward)
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    mine, theirs = everything_of(ward, "p1")[0], everything_of(ward, "p2")[0]
    for other in (theirs, "guideline"):
        for delete in (p1.delete, p1.adelete):
            with pytest.raises(ScopeError, match="nothing was deleted"):
                await done(delete([mine, other]))
        with pytest.raises(ScopeError, match="nothing was deleted"):
            ward.delete([mine, other], scope=Patient("p1"))
        with pytest.raises(ScopeError, match="nothing was deleted"):
            ward.delete([other], scope=Cohort([]))
    assert everything(ward) == before
    assert p1.delete([mine])
    assert everything(ward) == [chunk_id for chunk_id in before if chunk_id != mine]


@pytest.mark.parametrize("what", ["store", "its retriever", "retriever"])
def test_nobody_s_notes_leave_in_a_pickle(ward, what):
    bound = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    made = {"store": bound, "its retriever": bound.as_retriever(),
            "retriever": DrEhrRetriever(index=ward.index, scope=Patient("p1"))}[what]  # fmt: skip
    with pytest.raises(BadArgument, match="holds an open index"):
        pickle.dumps(made)
    for twin in (copy.copy(made), copy.deepcopy(made)):
        store = getattr(twin, "vectorstore", twin)
        assert store.index is ward.index
        assert (store.scope or twin.scope) == Patient("p1")


CALLS = {
    "similarity_search": lambda s, **w: s.similarity_search(QUERY, **w),
    "similarity_search_with_score": lambda s, **w: s.similarity_search_with_score(QUERY, **w),
    "similarity_search_with_relevance_scores": (
        lambda s, **w: s.similarity_search_with_relevance_scores(QUERY, **w)),
    "similarity_search_by_vector": lambda s, **w: s.similarity_search_by_vector([1.0] * 64, **w),
    "max_marginal_relevance_search": lambda s, **w: s.max_marginal_relevance_search(QUERY, **w),
    "max_marginal_relevance_search_by_vector": (
        lambda s, **w: s.max_marginal_relevance_search_by_vector([1.0] * 64, **w)),
    "search": lambda s, **w: s.search(QUERY, "mmr", **w),
    "asimilarity_search": lambda s, **w: s.asimilarity_search(QUERY, **w),
    "asimilarity_search_with_score": lambda s, **w: s.asimilarity_search_with_score(QUERY, **w),
    "asimilarity_search_with_relevance_scores": (
        lambda s, **w: s.asimilarity_search_with_relevance_scores(QUERY, **w)),
    "asimilarity_search_by_vector": lambda s, **w: s.asimilarity_search_by_vector([1.0] * 64, **w),
    "amax_marginal_relevance_search": lambda s, **w: s.amax_marginal_relevance_search(QUERY, **w),
    "amax_marginal_relevance_search_by_vector": (
        lambda s, **w: s.amax_marginal_relevance_search_by_vector([1.0] * 64, **w)),
    "asearch": lambda s, **w: s.asearch(QUERY, "similarity_score_threshold", **w),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_every_way_of_searching(ward, call):
    """Needs a scope, stays inside it, refuses wider ones and names it does not know."""
    unbound = DrEhrVectorStore(ward.index)
    with pytest.raises(ScopeRequired):
        await done(call(unbound))
    with pytest.raises(ScopeRequired):
        await done(call(unbound, scope="p1"))
    found = await done(call(ward, k=50, scope=Patient("p1")))
    documents = [f[0] if isinstance(f, tuple) else f for f in found]
    assert {d.metadata["patient_id"] for d in documents} == {"p1"}
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    assert await done(call(p1, k=50)) == found
    assert await done(call(p1, k=50, scope=None)) == found
    for wider in (EVERYBODY, Patient("p2"), Cohort(["p1", "p2"])):
        with pytest.raises(ScopeError):
            await done(call(p1, scope=wider))
    for typo in ("filter", "patient_id", "scop", "mode"):
        with pytest.raises(TypeError, match=typo):
            await done(call(p1, **{typo: None}))
    for k in (0, -1, True, "3"):
        with pytest.raises(BadArgument, match="k is how many"):
            await done(call(p1, k=k))
    assert await done(call(p1, section="no such section")) == []
    allowed = await done(call(p1, section="PLAN", k=50))
    assert 0 < len(allowed) < len(found)
    assert len(await done(call(p1, k=1))) == 1
    assert await done(call(p1, scope=Cohort([]))) == []


async def test_get_by_ids_stays_inside(ward):
    everybody = everything(ward)
    assert len(ward.get_by_ids(everybody)) == len(everybody)
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    mine = everything_of(ward, "p1")
    assert [d.id for d in p1.get_by_ids(everybody)] == mine
    assert await p1.aget_by_ids(everybody) == p1.get_by_ids(everybody)
    assert [d.id for d in ward.get_by_ids(everybody, scope=Patient("p1"))] == mine
    with pytest.raises(ScopeError):
        p1.get_by_ids(mine, scope=EVERYBODY)
    with pytest.raises(ScopeRequired):
        DrEhrVectorStore(ward.index).get_by_ids(mine)
    for wrong in ("n1", [1], None, [None]):
        with pytest.raises(BadArgument, match="id"):
            p1.get_by_ids(wrong)


async def test_without_a_scope_nothing_is_written_or_deleted(few):
    unbound = DrEhrVectorStore(few)
    with pytest.raises(ScopeRequired):
        unbound.add_texts(["x"])
    with pytest.raises(ScopeRequired):
        await unbound.aadd_texts(["x"])
    with pytest.raises(ScopeRequired):
        unbound.delete(["x"])
    with pytest.raises(ScopeRequired):
        DrEhrVectorStore.from_texts(["x"], embedding())
    with pytest.raises(ScopeRequired):
        DrEhrVectorStore(few, scope="p1")
    assert len(unbound.add_documents([of("p1")], scope=Patient("p1"))) == 1


def test_a_chain_s_patient_bounds_the_store_too(ward):
    config = {"configurable": {"patient_id": "p2"}}
    search = RunnableLambda(lambda query: ward.similarity_search(query, k=50))
    assert {d.metadata["patient_id"] for d in search.invoke(QUERY, config)} == {"p2"}
    with pytest.raises(ScopeError):
        RunnableLambda(lambda _: ward.add_documents([of("p1")])).invoke("", config)
    with pytest.raises(ScopeError):
        RunnableLambda(lambda _: ward.delete(["guideline"])).invoke("", config)


def test_tracing_is_refused(ward, monkeypatch):
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    for call in (lambda: ward.similarity_search(QUERY), lambda: ward.get_by_ids(["x"])):
        with pytest.raises(TracingRefused):
            call()
    with pytest.raises(TracingRefused):
        ward.as_retriever().invoke(QUERY)
    ward.allow_tracing = True
    assert ward.similarity_search(QUERY)


# --- maximal marginal relevance


async def test_mmr_is_lang_chain_s_own(few):
    store = DrEhrVectorStore(few, scope=EVERYBODY)
    nearest = store.similarity_search_by_vector(store.embeddings.embed_query(QUERY), k=5)
    rows = few.encoder.encode_passages([d.page_content for d in nearest]).tolist()
    query = np.array(store.embeddings.embed_query(QUERY))
    for mix in (0.0, 0.3, 1.0):
        expected = [nearest[i] for i in maximal_marginal_relevance(query, rows, mix, 3)]
        asked = {"k": 3, "fetch_k": 5, "lambda_mult": mix}
        assert store.max_marginal_relevance_search(QUERY, **asked) == expected
        assert await store.amax_marginal_relevance_search(QUERY, **asked) == expected
    assert store.max_marginal_relevance_search(QUERY, k=3, lambda_mult=1.0) == nearest[:3]


def test_mmr_avoids_what_is_said_twice(store):
    store.add_texts(["heart failure"] * 3 + ["kidney failure"])
    alike = store.max_marginal_relevance_search("heart failure", k=2, lambda_mult=1.0)
    unlike = store.max_marginal_relevance_search("heart failure", k=2, lambda_mult=0.0)
    assert [d.page_content for d in alike] == ["heart failure"] * 2
    assert [d.page_content for d in unlike] == ["heart failure", "kidney failure"]
    assert len(store.max_marginal_relevance_search("heart", k=4, fetch_k=1)) == 4
    for wrong in (-0.1, 1.1, 7):
        with pytest.raises(BadArgument, match="lambda_mult"):
            store.max_marginal_relevance_search("heart", lambda_mult=wrong)


def test_a_query_is_encoded_once_and_documents_not_at_all(few):
    seen = []

    class Counting(HashEncoder):
        def encode_queries(self, texts):
            seen.extend(texts)
            return super().encode_queries(texts)

    with EhrIndex.open(":memory:", encoder=Counting(dimension=64)) as index:
        index.add(few_notes())
        store = DrEhrVectorStore(index, scope=EVERYBODY)
        seen.clear()
        store.max_marginal_relevance_search(QUERY)
        assert seen == [QUERY]


# --- scores, retrievers


def test_relevance_is_from_0_to_1(few):
    for mode in ("hybrid", "dense", "rrf"):
        store = DrEhrVectorStore(few, scope=EVERYBODY, mode=mode)
        scored = store.similarity_search_with_relevance_scores(QUERY, k=9)
        raw = store.similarity_search_with_score(QUERY, k=9)
        relevance = [score for _, score in scored]
        assert all(0 <= score <= 1 for score in relevance)
        assert relevance == sorted(relevance, reverse=True)
        expected = [(s + 1) / 2 if mode == "dense" else s for _, s in raw]
        assert relevance == pytest.approx(expected)
        threshold = relevance[1]
        strict = store.as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": threshold}
        )
        kept = strict.invoke(QUERY)
        assert kept == [d for d, score in scored if score >= threshold][:4]
    with pytest.raises(BadArgument, match="BM25"):
        DrEhrVectorStore(
            few, scope=EVERYBODY, mode="lexical"
        ).similarity_search_with_relevance_scores(QUERY)


async def test_as_retriever_in_every_way(ward):
    mmr = ward.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.2})
    assert mmr.invoke(QUERY) == ward.max_marginal_relevance_search(QUERY, k=2, lambda_mult=0.2)
    plain = ward.as_retriever(search_kwargs={"k": 2, "section": "plan"}, scope=Patient("p1"))
    documents = ward.similarity_search(QUERY, k=2, section="plan", scope=Patient("p1"))
    assert plain.invoke(QUERY) == await plain.ainvoke(QUERY) == documents
    assert plain.invoke(QUERY, k=1) == documents[:1]
    assert (
        ward.as_retriever().invoke(
            QUERY, {"configurable": {"patient_id": "p1"}}, section="plan", k=2
        )
        == documents
    )
    for wrong in ({"filter": {}}, {"search_type": "near"}):
        with pytest.raises((ValidationError, ValueError)):
            ward.as_retriever(**wrong)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"search_kwargs": {"filter": {}}}, "takes no 'filter'"),
        ({"search_kwargs": {"mode": "dense"}}, "the mode is the store's own"),
        ({"search_kwargs": {"lambda_mult": 0.5}}, "takes no 'lambda_mult'"),
        ({"search_kwargs": {"k": 0}}, "k is how many"),
        ({"search_kwargs": {"since": "yesterday"}}, "since is not a date"),
        ({"search_kwargs": {"section": [1]}}, "section is a name"),
        ({"search_kwargs": {"scope": "p1"}}, "whose notes"),
        ({"search_type": "mmr", "search_kwargs": {"fetch_k": "3"}}, "fetch_k"),
        ({"search_type": "mmr", "search_kwargs": {"lambda_mult": 3}}, "from 0 to 1"),
        ({"search_type": "similarity_score_threshold"}, "score_threshold"),
    ],
)
def test_what_a_retriever_cannot_search_by_is_told_when_it_is_made(ward, wrong, reason):
    with pytest.raises((TypeError, ValueError), match=reason):
        ward.as_retriever(**wrong)


def test_scopes_and_modes_that_cannot_be_are_told_at_once(ward, tmp_path):
    with pytest.raises(UnknownName, match="no retriever is called 'mmr'"):
        DrEhrVectorStore(ward.index, mode="mmr")
    for wrong, error in (({"mode": "mmr"}, UnknownName), ({"scope": "p1"}, ScopeRequired)):
        with pytest.raises(error):
            DrEhrVectorStore.open(tmp_path / "ehr.idx", embedding=ward.embeddings, **wrong)
    assert not (tmp_path / "ehr.idx").exists()
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    with pytest.raises(ScopeError):
        p1.as_retriever(scope=Patient("p2"))
    with pytest.raises(ScopeError):
        p1.as_retriever(search_kwargs={"scope": EVERYBODY})
    words = DrEhrVectorStore(ward.index, mode="lexical")
    with pytest.raises(ValueError, match="BM25 has no upper bound"):
        words.as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5}
        )


async def test_a_retriever_cannot_leave_its_store_nor_its_keywords(ward):
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    for retriever in (
        p1.as_retriever(),
        ward.as_retriever(scope=Patient("p1")),
        ward.as_retriever(search_kwargs={"scope": Patient("p1")}),
    ):
        assert {d.metadata["patient_id"] for d in retriever.invoke(QUERY, k=50)} == {"p1"}
        with pytest.raises(ScopeError):
            retriever.invoke(QUERY, scope=Patient("p2"))
        with pytest.raises(ScopeError):
            await retriever.ainvoke(QUERY, scope=EVERYBODY)
        with pytest.raises(ScopeError):
            retriever.invoke(QUERY, {"configurable": {"patient_id": "p2"}})
        with pytest.raises(ScopeError):
            retriever.add_documents([of("p2")])
    with pytest.raises(ScopeError):
        p1.as_retriever(scope=EVERYBODY).invoke(QUERY)
    with pytest.raises(ScopeRequired):
        DrEhrVectorStore(ward.index).as_retriever().invoke(QUERY)


def test_making_a_retriever_loads_nothing(tmp_path):
    with EhrIndex.open(tmp_path / "a.idx", encoder=HashEncoder()) as index:
        index.add(few_notes())
    with EhrIndex.open(tmp_path / "a.idx") as index:  # its encoder, "hash", cannot be loaded
        store = DrEhrVectorStore(index, scope=Patient("p1"), mode="lexical")
        assert store.as_retriever().invoke(QUERY)


# --- opening


async def test_from_texts_and_from_documents(tmp_path):
    made = DrEhrVectorStore.from_texts(["a", "b"], embedding(), [{"n": 1}, {}], ids=["x", None],
                                       scope=EVERYBODY)  # fmt: skip
    assert made.get_by_ids(["x"]) == [Document(id="x", page_content="a", metadata={"n": 1})]
    documents = [Document(page_content="a", id="x"), Document(page_content="b")]
    for other in (
        DrEhrVectorStore.from_documents(documents, embedding(), scope=EVERYBODY),
        await DrEhrVectorStore.afrom_documents(documents, embedding(), scope=EVERYBODY),
        await DrEhrVectorStore.afrom_texts(
            ["a", "b"], embedding(), ids=["x", None], scope=EVERYBODY
        ),
    ):
        assert len(everything(other)) == 2 and other.get_by_ids(["x"]) == documents[:1]
    with pytest.raises(TypeError, match="collection_name"):
        DrEhrVectorStore.from_texts(["a"], embedding(), scope=EVERYBODY, collection_name="x")
    place = tmp_path / "a.idx"
    with pytest.raises(BadArgument):
        DrEhrVectorStore.from_texts(["a", ""], embedding(), scope=EVERYBODY, location=place)
    again = DrEhrVectorStore.from_texts(["a"], embedding(), scope=EVERYBODY, location=place)
    assert len(everything(again)) == 1  # the failed call let go of the folder
    again.index.close()
    with pytest.raises(StoreMissing):
        DrEhrVectorStore.open(tmp_path / "none.idx")


def test_foreign_embeddings_are_known_again_by_their_vectors(tmp_path):
    place = tmp_path / "a.idx"
    fake = DeterministicFakeEmbedding(size=12)
    with DrEhrVectorStore.from_texts(["a"], fake, scope=EVERYBODY, location=place).index:
        pass
    with DrEhrVectorStore.open(place, embedding=fake, scope=EVERYBODY).index as index:
        assert DrEhrVectorStore(index).embeddings is fake
        index.add(few_notes())
        assert index.search(QUERY, scope=Patient("p1"), mode="dense")

    class Other(DeterministicFakeEmbedding):
        def embed_query(self, text):
            return super().embed_query(text + "!")

    for stranger in (Other(size=12), DeterministicFakeEmbedding(size=13), embedding()):
        with pytest.raises(EncoderMismatch):
            DrEhrVectorStore.open(place, embedding=stranger, scope=EVERYBODY)


@pytest.mark.parametrize("row", [[0.0] * 4, [float("nan")] * 4, [1.0] * 3])
def test_foreign_vectors_that_are_none_are_refused(row):
    class Broken(Embeddings):
        def embed_query(self, text):
            return [1.0, 0.0, 0.0, 0.0]

        def embed_documents(self, texts):
            return [row if "bad" in text else [1.0, 0.0, 0.0, 0.0] for text in texts]

    store = DrEhrVectorStore.open(":memory:", embedding=Broken(), scope=EVERYBODY)
    with pytest.raises(EncoderError, match="Broken gave"):
        store.add_texts(["good", "bad"])
    assert everything(store) == []


@pytest.mark.parametrize("vector", [[1.0], [[1.0] * 64] * 2, "text", None, [None] * 64, ["a"]])
def test_vectors_that_do_not_fit_are_refused(ward, vector):
    with pytest.raises((BadArgument, StoreError)):
        ward.similarity_search_by_vector(vector)


# --- the indexing interface


async def test_the_indexing_interface(store):
    manager = InMemoryRecordManager("test")
    manager.create_schema()
    common = {"source_id_key": "note_id", "key_encoder": "sha256", "cleanup": "incremental"}
    first = [of("p1", f"Line {n}.", note_id=f"n{n // 2}") for n in range(6)]
    assert index(first, manager, store, **common)["num_added"] == 6
    assert index(first, manager, store, **common)["num_skipped"] == 6
    second = [*first[:5], of("p1", "Line 5, amended.", note_id="n2")]
    assert index(second, manager, store, **common) == {
        "num_added": 1, "num_updated": 0, "num_skipped": 5, "num_deleted": 1}  # fmt: skip
    found = store.similarity_search("line", k=50)
    assert sorted(d.page_content for d in found) == sorted(d.page_content for d in second)
    assert all(d.metadata in [s.metadata for s in second] for d in found)
    full = {**common, "cleanup": "full"}
    assert (await aindex(second[:2], manager, store, batch_size=1, **full))["num_deleted"] == 4
    assert len(everything(store)) == 2


def test_the_indexing_interface_stays_inside_the_scope(ward):
    manager = InMemoryRecordManager("test")
    manager.create_schema()
    p1 = DrEhrVectorStore(ward.index, scope=Patient("p1"))
    before = everything(ward)
    with pytest.raises(ScopeError):
        index([of("p1"), of("p2")], manager, p1, cleanup="full", key_encoder="sha256")
    assert everything(ward) == before


# --- async


class Gate(HashEncoder):
    """Encodes passages when it may."""

    def __init__(self):
        super().__init__()
        self.may, self.calls = threading.Event(), 0
        self.may.set()

    def encode_passages(self, texts):
        self.calls += 1
        self.may.wait(10)
        return super().encode_passages(texts)

    def encode_queries(self, texts):
        self.may.wait(10)
        return HashEncoder.encode_queries(HashEncoder(), texts)


@pytest.fixture
def gated():
    encoder = Gate()
    store = DrEhrVectorStore.open(
        ":memory:", embedding=DrEhrEmbeddings.of(encoder), scope=EVERYBODY)  # fmt: skip
    store.add_texts(["before"])
    encoder.may.clear()
    yield store, encoder
    encoder.may.set()


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.aadd_texts(["x"]),
        lambda s: s.aadd_documents([Document(page_content="x")]),
        lambda s: s.asimilarity_search("x"),
        lambda s: s.asimilarity_search_with_score("x"),
        lambda s: s.asimilarity_search_with_relevance_scores("x"),
        lambda s: s.amax_marginal_relevance_search("x"),
        lambda s: s.asearch("x", "mmr"),
        lambda s: s.as_retriever().ainvoke("x"),
        lambda s: s.as_retriever(search_type="mmr").ainvoke("x"),
    ],
)
async def test_the_loop_is_free_meanwhile(gated, call):
    store, encoder = gated
    task = asyncio.create_task(call(store))
    assert await loop_turns(20) == 20
    assert not task.done()
    encoder.may.set()
    assert len(await task) >= 1


async def test_a_cancelled_write_stops_between_two_batches(gated):
    store, encoder = gated
    encoder.calls = 0
    writing = store.aadd_texts([f"text {n}" for n in range(10)], batch_size=2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writing, 0.1)
    encoder.may.set()
    await asyncio.sleep(0.2)
    assert encoder.calls == 1  # the batch it was at; the other four never began
    assert len(everything(store)) in (1, 3)
    assert len(await store.aadd_texts(["after"])) == 1


async def test_many_at_once(tmp_path):
    """Searches, writes and deletes side by side, on the engine that compacts as it deletes."""
    place = tmp_path / "a.idx"
    store = DrEhrVectorStore.from_texts(
        [f"heart {n}" for n in range(200)], embedding(), [{"patient_id": "p1"}] * 200,
        ids=[f"old{n}" for n in range(200)], location=place, scope=EVERYBODY)  # fmt: skip
    p2 = DrEhrVectorStore(store.index, scope=Patient("p2"))

    async def one(n):
        await store.adelete([f"old{n}"])
        await p2.aadd_documents([of("p2", f"kidney {n}")], ids=[f"new{n}"])
        found = await p2.asimilarity_search("kidney", k=50)
        assert {d.metadata["patient_id"] for d in found} == {"p2"}
        assert f"new{n}" in {d.id for d in found}

    await asyncio.gather(*(one(n) for n in range(8)))
    expected = {f"old{n}" for n in range(8, 200)} | {f"new{n}" for n in range(8)}
    assert set(everything(store)) == expected
    store.index.close()


def test_what_cannot_be_meant_is_named_with_its_remedy(few):
    store = DrEhrVectorStore(few, scope=AllPatients(reason="test"))
    with pytest.raises(TypeError, match="takes no 'filter': whose notes is scope=Patient"):
        store.similarity_search("gout", filter={"patient_id": "p1"})
    with pytest.raises(TypeError, match=r"takes no .mode.: .*the mode is the store.s own"):
        store.similarity_search("gout", mode="dense")
    with pytest.raises(BadArgument, match=r"index is an EhrIndex, not str: EhrIndex.open"):
        DrEhrVectorStore("ehr.idx", scope=AllPatients(reason="test"))
    with pytest.raises(BadArgument, match=r"metadatas\[1\] is str, not a dict") as error:
        store.add_texts(["a", "b"], [{}, "Zebedee"])
    assert "Zebedee" not in str(error.value)
    with pytest.raises(BadArgument, match="metadatas is a list, not int"):
        store.add_texts(["a"], 5)
    with pytest.raises(BadArgument, match="ids is a list, not int"):
        store.add_texts(["a"], ids=5)
    with pytest.raises(BadArgument, match=r"ids\[1\] is NoneType: an id is text"):
        store.get_by_ids(["a", None])
    for nonsense in ([0.0] * 64, [[0.1] * 32] * 2, [float("nan")] * 64, ["a"] * 64, 5):
        with pytest.raises(BadArgument, match="one list of finite numbers, not all of them zero"):
            store.similarity_search_by_vector(nonsense)


def test_embeddings_take_texts_and_nothing_else():
    embeddings = DrEhrEmbeddings.of(HashEncoder())
    assert len(embeddings.embed_documents(text for text in ("a", "b"))) == 2
    with pytest.raises(BadArgument, match=r"texts\[1\] is NoneType, not text"):
        embeddings.embed_documents(["a", None])
    with pytest.raises(BadArgument, match="texts is a list, not str"):
        embeddings.embed_documents("gout")
    with pytest.raises(BadArgument, match="text is list, not text"):
        embeddings.embed_query(["a", "b"])
