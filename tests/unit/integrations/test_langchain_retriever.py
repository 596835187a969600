"""`DrEhrRetriever`: whose notes to search is never forgotten and never widened."""

import asyncio
import logging
import threading
from dataclasses import asdict

import pytest
from framework_notes import loop_turns
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tracers import LangChainTracer
from langchain_tests.integration_tests import RetrieversIntegrationTests
from langsmith import tracing_context
from pydantic import ValidationError

from drehr_rag import AllPatients, Cohort, EhrIndex, Encounter, Note, Patient, ward
from drehr_rag.errors import (
    BadArgument,
    ScopeError,
    ScopeRequired,
    TracingRefused,
    UnknownName,
)
from drehr_rag.integrations import llama_index
from drehr_rag.integrations.langchain import DrEhrRetriever, DrEhrVectorStore
from drehr_rag.testing import HashEncoder

pytestmark = pytest.mark.usefixtures("one_encoder")

EVERYBODY = AllPatients(reason="test")
QUERY = "heart failure"


def people(documents):
    return {document.metadata["patient_id"] for document in documents}


class TestStandard(RetrieversIntegrationTests):
    kind = ":memory:"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def opened(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("standard")
        place = folder / "a.idx" if cls.kind == "edge" else cls.kind
        with EhrIndex.open(place, encoder="offline") as index:
            index.add(ward.notes()[:9])
            assert any(folder.iterdir()) == (cls.kind == "edge")
            cls.index = index
            yield

    @property
    def retriever_constructor(self):
        return DrEhrRetriever

    @property
    def retriever_constructor_params(self):
        return {"index": self.index, "scope": EVERYBODY}

    @property
    def retriever_query_example(self):
        return QUERY


class TestStandardOnEdge(TestStandard):
    kind = "edge"


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"mode": "mmr"}, "'hybrid', 'dense', 'lexical'"),
        ({"k": 10**7}, "at most 1,000,000"),
        ({"since": "yesterday"}, "since is not a date"),
        ({"until": ""}, "until is empty"),
        ({"section": [1]}, "section"),
        ({"explain": 1}, "explain"),
        ({"index": "ehr.idx"}, r"not str: EhrIndex.open\(...\) opens a folder"),
    ],
)
def test_options_that_cannot_be_meant_are_told_when_it_is_made(few, option, reason):
    with pytest.raises(ValidationError, match=reason):
        DrEhrRetriever(**{"index": few, "scope": EVERYBODY, **option})


def test_a_store_in_the_place_of_its_index_is_told_where_that_is(few):
    for store in (DrEhrVectorStore(few), llama_index.DrEhrVectorStore(few, scope=EVERYBODY)):
        with pytest.raises(ValidationError, match="is its index"):
            DrEhrRetriever(index=store)
        with pytest.raises(BadArgument, match="or client"):
            llama_index.DrEhrRetriever(store, scope=EVERYBODY)


# --- the same as the core


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical", "rrf", "expanded", "reranked"])
@pytest.mark.parametrize("scope", [EVERYBODY, Patient("p1"), Encounter("p1", "e2"), Cohort([])])
async def test_the_same_chunks_in_the_same_order_as_the_core(few, mode, scope):
    hits = few.search(QUERY, scope=scope, k=3, mode=mode)
    retriever = DrEhrRetriever(index=few, scope=scope, k=3, mode=mode)
    documents = retriever.invoke(QUERY)
    assert [d.id for d in documents] == [hit.chunk.chunk_id for hit in hits]
    assert [d.page_content for d in documents] == [hit.chunk.text for hit in hits]
    assert await retriever.ainvoke(QUERY) == documents
    assert bool(documents) == (scope != Cohort([]))


def test_documents_say_where_they_stand(few):
    note = {"n1": "PLAN:\nHeart failure: furosemide 40 mg.\n\nALLERGIES:\nPenicillin."}
    found = DrEhrRetriever(index=few).invoke("penicillin", scope=Patient("p1"), k=1)[0]
    assert found.metadata == {
        "ward": "7b",
        "note_id": "n1",
        "patient_id": "p1",
        "encounter_id": "e1",
        "note_type": "Progress note",
        "section": "allergies",
        "written_at": "2180-01-01T00:00:00",
        "start": found.metadata["start"],
        "end": found.metadata["end"],
    }
    cited = note["n1"][found.metadata["start"] : found.metadata["end"]]
    assert cited == found.page_content == "ALLERGIES:\nPenicillin."


def test_documents_tell_why_they_were_found_if_they_are_asked(few):
    """As a field or in a call; a document of two queries is the same one unless it is asked for."""
    other_words = "cardiac insufficiency"
    plain = DrEhrRetriever(index=few, scope=EVERYBODY, mode="expanded")
    asked = DrEhrRetriever(index=few, scope=EVERYBODY, mode="expanded", explain=True)
    hits = few.search(other_words, scope=EVERYBODY, mode="expanded")
    found = asked.invoke(other_words)
    assert found == plain.invoke(other_words, explain=True)
    assert asked.invoke(other_words, explain=False) == plain.invoke(other_words)
    for document, before, hit in zip(found, plain.invoke(other_words), hits, strict=True):
        assert document.metadata == before.metadata | {
            "scores": dict(hit.scores),
            "assertion": hit.assertion,
            "matches": [asdict(match) for match in hit.matches],
        }
    assert "negated" in [document.metadata["assertion"] for document in found]
    words = {match["term"].lower() for d in found for match in d.metadata["matches"]}
    assert "heart failure" in words
    other = {document.id: document for document in plain.invoke("furosemide")}
    assert all(other[d.id] == d for d in plain.invoke(other_words) if d.id in other)


def test_who_changes_a_document_changes_no_index(few):
    retriever = DrEhrRetriever(index=few, scope=Patient("p3"))
    found = retriever.invoke(QUERY)[0]
    found.metadata["ward"] = "elsewhere"
    found.metadata.clear()
    assert retriever.invoke(QUERY)[0].metadata["ward"] == "7b"


# --- arguments


def test_fields_are_defaults_that_a_call_overrides(few):
    retriever = DrEhrRetriever(index=few, scope=Patient("p1"), k=1, section="allergies")
    assert [d.metadata["section"] for d in retriever.invoke(QUERY)] == ["allergies"]
    assert len(retriever.invoke(QUERY, section="plan", k=5)) == 2
    assert retriever.invoke(QUERY, section=[]) == []
    assert retriever.invoke(QUERY, since="2180-02-01", section="plan", k=5)[0].id.startswith("n2")
    assert retriever.invoke(QUERY, until="2179-01-01") == []
    assert retriever.invoke(QUERY, note_type="letter") == []


@pytest.mark.parametrize("typo", ["patientid", "patient_id", "filter", "top_k", "search_kwargs"])
async def test_unknown_arguments_are_errors(few, typo):
    retriever = DrEhrRetriever(index=few, scope=EVERYBODY)
    with pytest.raises(TypeError, match=typo):
        retriever.invoke(QUERY, **{typo: "p1"})
    with pytest.raises(TypeError, match=typo):
        await retriever.ainvoke(QUERY, **{typo: "p1"})
    with pytest.raises(ValidationError, match=typo):
        DrEhrRetriever(index=few, scope=EVERYBODY, **{typo: "p1"})


@pytest.mark.parametrize("k", [0, -1, True, "3", 2.5])
def test_k_is_a_whole_number_from_one(few, k):
    with pytest.raises(BadArgument, match="k is how many"):
        DrEhrRetriever(index=few, scope=EVERYBODY).invoke(QUERY, k=k)
    with pytest.raises(ValidationError, match="k"):
        DrEhrRetriever(index=few, scope=EVERYBODY, k=k)


@pytest.mark.parametrize("query", ["", " ", "?!", None, {"question": "x"}])
def test_a_query_without_words_is_an_error(few, query):
    with pytest.raises(BadArgument, match="query"):
        DrEhrRetriever(index=few, scope=EVERYBODY).invoke(query)


# --- whose notes


async def test_a_scope_is_required(few):
    retriever = DrEhrRetriever(index=few)
    for arguments in ({}, {"scope": None}, {"config": {"configurable": {"thread_id": "1"}}}):
        with pytest.raises(ScopeRequired, match="Patient"):
            retriever.invoke(QUERY, **arguments)
        with pytest.raises(ScopeRequired, match="Patient"):
            await retriever.ainvoke(QUERY, **arguments)
    with pytest.raises(ScopeRequired):
        retriever.batch([QUERY])
    with pytest.raises(ScopeRequired):
        list(retriever.stream(QUERY))


@pytest.mark.parametrize("wrong", ["p1", {"patient_id": "p1"}, {"reason": "all"}, Patient, 7])
def test_only_a_scope_is_a_scope(few, wrong):
    with pytest.raises(ScopeRequired, match="scope="):
        DrEhrRetriever(index=few, scope=wrong)
    with pytest.raises(ScopeRequired, match="scope="):
        DrEhrRetriever(index=few, scope=EVERYBODY).invoke(QUERY, scope=wrong)


async def test_field_call_and_config_name_the_same(few):
    mine = {"configurable": {"patient_id": "p2"}}
    for retriever in (DrEhrRetriever(index=few), DrEhrRetriever(index=few, scope=EVERYBODY)):
        documents = retriever.invoke(QUERY, scope=Patient("p2"))
        assert people(documents) == {"p2"}
        assert retriever.invoke(QUERY, config=mine) == documents
        assert await retriever.ainvoke(QUERY, config=mine) == documents
        assert retriever.with_config(mine).invoke(QUERY) == documents
        assert retriever.bind(scope=Patient("p2")).invoke(QUERY) == documents
        assert retriever.batch([QUERY, QUERY], config=mine) == [documents, documents]
        assert await retriever.abatch([QUERY], config=mine) == [documents]
        assert list(retriever.stream(QUERY, config=mine)) == [documents]
        assert [d async for d in retriever.astream(QUERY, config=mine)] == [documents]
    assert DrEhrRetriever(index=few, scope=Patient("p2")).invoke(QUERY) == documents


def test_an_encounter_in_the_config(few):
    retriever = DrEhrRetriever(index=few)
    config = {"configurable": {"patient_id": "p1", "encounter_id": "e2"}}
    assert {d.metadata["encounter_id"] for d in retriever.invoke(QUERY, config)} == {"e2"}
    with pytest.raises(ScopeError, match="name its patient_id"):
        retriever.invoke(QUERY, {"configurable": {"encounter_id": "e2"}})


WIDER = [
    {"scope": Patient("p2")},
    {"scope": EVERYBODY},
    {"scope": Cohort(["p1", "p2"])},
    {"config": {"configurable": {"patient_id": "p2"}}},
    {"config": {"configurable": {"patient_id": "p1"}}, "scope": Patient("p2")},
    {"config": {"configurable": {"patient_id": "p2"}}, "scope": Patient("p1")},
]


@pytest.mark.parametrize("arguments", WIDER)
async def test_the_field_is_a_ceiling(few, arguments):
    retriever = DrEhrRetriever(index=few, scope=Patient("p1"))
    with pytest.raises(ScopeError, match="never widened"):
        retriever.invoke(QUERY, **arguments)
    with pytest.raises(ScopeError, match="never widened"):
        await retriever.ainvoke(QUERY, **arguments)


def test_a_call_may_narrow_what_the_config_says_and_not_widen_it(few):
    retriever = DrEhrRetriever(index=few)
    config = {"configurable": {"patient_id": "p1"}}
    stay = retriever.invoke(QUERY, config, scope=Encounter("p1", "e1"))
    assert {d.metadata["encounter_id"] for d in stay} == {"e1"}
    with pytest.raises(ScopeError):
        retriever.invoke(QUERY, config, scope=EVERYBODY)


@pytest.mark.parametrize("blank", [None, "", " ", True, ["p1"], {"p1"}])
def test_a_config_with_a_blank_patient_is_no_search_of_everybody(few, blank):
    retriever = DrEhrRetriever(index=few, scope=EVERYBODY)
    with pytest.raises(ScopeError, match="patient_id"):
        retriever.invoke(QUERY, {"configurable": {"patient_id": blank}})


@pytest.mark.parametrize("typo", ["patientid", "patientId", "PATIENT_ID", "patient", "Scope",
                                  "encounter-id"])  # fmt: skip
def test_a_misspelt_config_is_no_search_of_everybody(few, typo):
    retriever = DrEhrRetriever(index=few, scope=EVERYBODY)
    with pytest.raises(UnknownName, match="patient_id and encounter_id"):
        retriever.invoke(QUERY, {"configurable": {typo: "p1"}})


def test_numbers_are_ids_too(few):
    few.add([notes_of(10000032)])
    found = DrEhrRetriever(index=few).invoke(QUERY, {"configurable": {"patient_id": 10000032}})
    assert people(found) == {"10000032"}


def notes_of(patient):
    return Note(note_id=f"n-{patient}", patient_id=patient, text="Heart failure.")


# --- in chains


def test_a_chain_hands_its_patient_down(few):
    retriever = DrEhrRetriever(index=few)
    chain = RunnablePassthrough() | retriever | RunnableLambda(people)
    assert chain.invoke(QUERY, {"configurable": {"patient_id": "p2"}}) == {"p2"}
    nested = RunnableLambda(lambda query: people(retriever.invoke(query)))
    assert nested.invoke(QUERY, {"configurable": {"patient_id": "p3"}}) == {"p3"}


def test_a_step_of_a_chain_cannot_leave_the_chain_s_patient(few):
    retriever = DrEhrRetriever(index=few, scope=EVERYBODY)

    def elsewhere(query):
        return retriever.invoke(query, {"configurable": {"patient_id": "p2"}})

    def nowhere(query):
        return people(retriever.invoke(query, {"configurable": {"thread_id": "1"}}))

    config = {"configurable": {"patient_id": "p1"}}
    with pytest.raises(ScopeError):
        RunnableLambda(elsewhere).invoke(QUERY, config)
    assert RunnableLambda(nowhere).invoke(QUERY, config) == {"p1"}


async def test_calls_at_once_keep_their_own_patients(few):
    retriever = DrEhrRetriever(index=few)
    asked = [f"p{1 + number % 3}" for number in range(60)]
    configs = [{"configurable": {"patient_id": patient}} for patient in asked]
    found = await asyncio.gather(*(retriever.ainvoke(QUERY, config) for config in configs))
    assert [people(documents) for documents in found] == [{patient} for patient in asked]
    found = retriever.batch([QUERY] * len(asked), configs)
    assert [people(documents) for documents in found] == [{patient} for patient in asked]


# --- async


class Waiting(HashEncoder):
    """Encodes when it may."""

    def __init__(self):
        super().__init__()
        self.may, self.asked = threading.Event(), threading.Event()
        self.may.set()

    def encode_queries(self, texts):
        self.asked.set()
        self.may.wait(10)
        return super().encode_queries(texts)


async def test_the_loop_is_free_while_it_searches():
    encoder = Waiting()
    with EhrIndex.open(":memory:", encoder=encoder) as index:
        index.add([notes_of("p1")])
        encoder.may.clear()
        retriever = DrEhrRetriever(index=index, scope=Patient("p1"))
        search = asyncio.create_task(retriever.ainvoke(QUERY))
        beats = await loop_turns(20)
        assert not search.done() and beats == 20
        encoder.may.set()
        assert len(await search) == 1


async def test_a_cancelled_search_ends_and_the_next_one_works():
    encoder = Waiting()
    with EhrIndex.open(":memory:", encoder=encoder) as index:
        index.add([notes_of("p1")])
        encoder.may.clear()
        retriever = DrEhrRetriever(index=index, scope=Patient("p1"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(retriever.ainvoke(QUERY), 0.05)
        encoder.may.set()
        assert len(await retriever.ainvoke(QUERY)) == 1


# --- callbacks and tracing


class Watch(BaseCallbackHandler):
    def __init__(self):
        self.seen = []

    def on_retriever_start(self, serialized, query, **kwargs):
        self.seen.append(("start", query, kwargs.get("name")))

    def on_retriever_end(self, documents, **kwargs):
        self.seen.append(("end", len(documents)))

    def on_retriever_error(self, error, **kwargs):
        self.seen.append(("error", type(error)))


async def test_callbacks_are_called(few):
    retriever = DrEhrRetriever(index=few, scope=Patient("p2"), tags=["notes"])
    watch = Watch()
    retriever.invoke(QUERY, {"callbacks": [watch]}, k=1)
    await retriever.ainvoke(QUERY, {"callbacks": [watch]}, k=1)
    assert watch.seen == [("start", QUERY, "DrEhrRetriever"), ("end", 1)] * 2
    watch.seen.clear()
    with pytest.raises(BadArgument):
        retriever.invoke(QUERY, {"callbacks": [watch]}, k=0)
    assert watch.seen[-1] == ("error", BadArgument)


@pytest.mark.parametrize("value", ["true", "True", "1"])
@pytest.mark.parametrize("name", ["LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2",
                                  "LANGSMITH_TRACING_V2", "LANGCHAIN_WANDB_TRACING"])  # fmt: skip
async def test_tracing_variables_are_refused(few, monkeypatch, name, value):
    retriever = DrEhrRetriever(index=few, scope=Patient("p2"))
    monkeypatch.setenv(name, value)
    watch = Watch()
    with pytest.raises(TracingRefused, match=name):
        retriever.invoke(QUERY, {"callbacks": [watch]})
    with pytest.raises(TracingRefused, match="allow_tracing=True"):
        await retriever.ainvoke(QUERY, {"callbacks": [watch]})
    assert watch.seen == []  # nothing was said to anybody, the query neither
    for off in ("false", "0", ""):
        monkeypatch.setenv(name, off)
        assert retriever.invoke(QUERY)


def test_tracing_by_callback_or_context_is_refused(few):
    retriever = DrEhrRetriever(index=few, scope=Patient("p2"))
    with pytest.raises(TracingRefused, match="LangSmith"):
        retriever.invoke(QUERY, {"callbacks": [silent_tracer()]})
    chain = RunnablePassthrough() | retriever
    with pytest.raises(TracingRefused, match="LangSmith"):
        chain.invoke(QUERY, {"callbacks": [silent_tracer()]})
    for way in (True, "local"):  # LangChain sends what LangSmith calls local
        with tracing_context(enabled=way), pytest.raises(TracingRefused, match="LangSmith"):
            retriever.invoke(QUERY)
    with tracing_context(enabled=False):
        assert retriever.invoke(QUERY)


def silent_tracer():
    class Client:
        tracing_queue = None

        def __getattr__(self, name):
            raise AssertionError("something was sent")

    class Tracer(LangChainTracer):
        def _start_trace(self, run):
            pass

        def _end_trace(self, run):
            pass

    return Tracer(client=Client())


def test_tracing_that_is_allowed_is_not_refused(few, monkeypatch):
    retriever = DrEhrRetriever(index=few, scope=Patient("p2"), allow_tracing=True)
    assert retriever.invoke(QUERY, {"callbacks": [silent_tracer()]})
    monkeypatch.setenv("DREHR_ALLOW_TRACING", "1")
    retriever = DrEhrRetriever(index=few, scope=Patient("p2"))
    assert retriever.invoke(QUERY, {"callbacks": [silent_tracer()]})


def test_no_text_and_no_patient_in_logs_and_representations(few, caplog):
    retriever = DrEhrRetriever(index=few, scope=Patient("p2"))
    with caplog.at_level(logging.DEBUG):
        retriever.invoke(QUERY)
    for text in (repr(retriever), str(retriever), caplog.text):
        assert "p2" not in text and "furosemide" not in text
