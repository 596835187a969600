"""No combination of arguments reads, writes or removes anything outside the scope, by LangChain."""

import asyncio
import contextlib
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from how_often import tried
from hypothesis import given
from hypothesis import strategies as st
from langchain_classic.memory import VectorStoreRetrieverMemory
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import ValidationError
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from drehr_rag import AllPatients, Cohort, EhrIndex, Encounter, Patient
from drehr_rag.errors import BadArgument, ScopeError, ScopeRequired
from drehr_rag.integrations import langchain
from drehr_rag.integrations.langchain import (
    DrEhrEmbeddings,
    DrEhrRetriever,
    DrEhrVectorStore,
    EhrQaChain,
)
from drehr_rag.integrations.langchain.store_retriever import DrEhrVectorStoreRetriever
from drehr_rag.testing import HashEncoder

PATIENTS = ["p1", "p2", "p3", None]
STAYS = ["e1", "e2", None]  # shared by patients on purpose
WORDS = "heart failure kidney injury warfarin pain fever stroke".split()
EVERYBODY = AllPatients(reason="test")
MANY = tried(1000)
"""On each kind of store."""

FEW = tried(60)
"""Where an example takes longer, or what is tried is built from what the others try."""


def document(number):
    patient, stay = PATIENTS[number % 4], STAYS[number % 3]
    metadata = {"patient_id": patient, "encounter_id": stay, "note_id": f"n{number}",
                "section": ["plan", "course"][number % 2]}  # fmt: skip
    text = f"{WORDS[number % 8]} {WORDS[number % 5]}"
    return Document(text, metadata={k: v for k, v in metadata.items() if v}, id=f"d{number}")


WARD = [document(number) for number in range(36)]
OWNERS = {d.id: (d.metadata.get("patient_id"), d.metadata.get("encounter_id")) for d in WARD}


@pytest.fixture(scope="module", params=["memory", "edge"])
def index(request, tmp_path_factory):
    place = ":memory:" if request.param == "memory" else tmp_path_factory.mktemp("wall") / "a.idx"
    opened = EhrIndex.open(place, encoder=HashEncoder())
    opened.store.purge = lambda: None  # files are not what this is about
    yield opened
    opened.close()


def filled(index):
    """The ward as it was, whatever the example before did."""
    store = DrEhrVectorStore(index, scope=EVERYBODY)
    if held(index) != dict.fromkeys(OWNERS):
        store.delete(list(held(index)))
        store.add_documents(WARD)
    return store


def held(index):
    return dict.fromkeys(
        sorted((c.chunk_id for c in index.store.scan(scope=EVERYBODY)), key=lambda i: int(i[1:]))
    )


names = st.sampled_from(["p1", "p2", "p3", "stranger"])
scopes = st.one_of(
    st.builds(Patient, names),
    st.builds(Encounter, names, st.sampled_from(["e1", "e2", "e9"])),
    st.builds(Cohort, st.lists(names, max_size=3)),
    st.just(EVERYBODY),
)
maybe = st.none() | scopes
configurables = st.one_of(
    st.none(),
    st.fixed_dictionaries({"patient_id": names | st.sampled_from([None, "", 7])},
                          optional={"encounter_id": st.sampled_from(["e1", "e2", None])}),
    st.fixed_dictionaries({"thread_id": st.just("t")}),
)  # fmt: skip
ids = st.lists(st.sampled_from([*OWNERS, "missing"]), max_size=6)
searches = st.sampled_from(["similarity_search", "similarity_search_with_score",
    "similarity_search_with_relevance_scores", "max_marginal_relevance_search",
    "similarity_search_by_vector", "max_marginal_relevance_search_by_vector",
    "search", "retriever", "store_retriever", "mmr_retriever", "tool", "batch",
    "stream"])  # fmt: skip
filters = st.fixed_dictionaries(
    {}, optional={"section": st.sampled_from(["plan", "PLAN", [], ["course", "plan"]]),
                  "note_type": st.sampled_from([[], "letter"])})  # fmt: skip


def sees(scope, owner):
    """The rules, written once more and naively."""
    if isinstance(scope, AllPatients):
        return True
    if isinstance(scope, Encounter):
        return owner == (scope.patient_id, scope.encounter_id)
    patients = scope.patient_ids if isinstance(scope, Cohort) else {scope.patient_id}
    return owner[0] in patients


def scope_of(configurable):
    """What a config may see; None where it says nothing, "nobody" where it cannot be meant."""
    if not configurable or "patient_id" not in configurable:
        return None
    patient, stay = configurable["patient_id"], configurable.get("encounter_id", "none")
    if not patient or stay is None:
        return "nobody"
    return Patient(patient) if stay == "none" else Encounter(patient, stay)


def allowed(*given):
    """Ids that all of the given scopes may see; nothing where none is given."""
    limits = [scope for scope in given if scope is not None]
    if not limits or "nobody" in limits:
        return set()
    return {i for i, owner in OWNERS.items() if all(sees(scope, owner) for scope in limits)}


RUNNABLES = {
    "retriever": lambda store, field: DrEhrRetriever(index=store.index, scope=field),
    "batch": lambda store, field: DrEhrRetriever(index=store.index, scope=field),
    "stream": lambda store, field: DrEhrRetriever(index=store.index, scope=field),
    "store_retriever": lambda store, field: store.as_retriever(scope=field),
    "mmr_retriever": lambda store, field: store.as_retriever(search_type="mmr"),
}


async def aask(how, runnable, config, given):
    if how == "batch":
        return (await runnable.abatch(["heart"], config, **given))[0]
    if how == "stream":
        return await anext(runnable.astream("heart", config, **given))
    return await runnable.ainvoke("heart", config, **given)


def ask(how, runnable, config, given):
    if how == "batch":
        return runnable.batch(["heart"], config, **given)[0]
    if how == "stream":
        return next(runnable.stream("heart", config, **given))
    return runnable.invoke("heart", config, **given)


def search(how, twin, store, field, config, given):
    """One search, in one of many ways; `config` reaches stores by the chain around them."""
    if how in RUNNABLES:
        runnable = RUNNABLES[how](store, field)
        asked = (how, runnable, config, given)
        return asyncio.run(aask(*asked)) if twin else ask(*asked)
    if how == "tool":
        tool = DrEhrRetriever(index=store.index, scope=field, k=given["k"]).as_tool()
        call = {"type": "tool_call", "name": tool.name, "id": "1", "args": {"query": "heart"}}
        return (asyncio.run(tool.ainvoke(call, config)) if twin else tool.invoke(call, config)
                ).artifact  # fmt: skip
    first = [1.0] * 16 if how.endswith("vector") else "heart"
    arguments = ("mmr",) if how == "search" else ()
    method = getattr(store, f"a{how}" if twin else how)
    return inside(config, method, first, *arguments, **given)


def inside(config, method, *args, **kwargs):
    """Call a method, blocking or not, inside a chain with this config."""

    async def run(_):
        return await method(*args, **kwargs)

    if inspect.iscoroutinefunction(method):
        return asyncio.run(RunnableLambda(run).ainvoke("", config))
    return RunnableLambda(lambda _: method(*args, **kwargs)).invoke("", config)


REFUSED = (ScopeError, ScopeRequired)


@MANY
@given(how=searches, field=maybe, configurable=configurables, call=maybe, k=st.integers(1, 50),
       narrowing=filters, twin=st.booleans())  # fmt: skip
def test_nothing_is_read_from_outside(index, how, field, configurable, call, k, narrowing, twin):
    filled(index)
    store = DrEhrVectorStore(index, scope=field)
    if how == "tool":
        call, narrowing = None, {}
    config = {} if configurable is None else {"configurable": configurable}
    may = allowed(field, scope_of(configurable), call)
    given = {"k": k, **narrowing, **({} if call is None else {"scope": call})}
    try:
        found = search(how, twin, store, field, config, given)
    except REFUSED:
        return
    documents = [one[0] if isinstance(one, tuple) else one for one in found]
    assert {d.id for d in documents} <= may
    for one in documents:
        assert one == next(d for d in WARD if d.id == one.id)
    if may and not narrowing:
        assert len(documents) == min(k, len(may))


@MANY
@given(field=maybe, configurable=configurables, call=maybe, wanted=ids, twin=st.booleans())
def test_nothing_is_got_from_outside(index, field, configurable, call, wanted, twin):
    filled(index)
    store = DrEhrVectorStore(index, scope=field)
    config = {} if configurable is None else {"configurable": configurable}
    try:
        found = inside(config, store.aget_by_ids if twin else store.get_by_ids, wanted, scope=call)
    except REFUSED:
        return
    may = allowed(field, scope_of(configurable), call)
    assert [d.id for d in found] == [i for i in wanted if i in may]


@MANY
@given(field=maybe, configurable=configurables, call=maybe, doomed=st.none() | ids,
       twin=st.booleans())  # fmt: skip
def test_nothing_is_removed_from_outside(index, field, configurable, call, doomed, twin):
    filled(index)
    store = DrEhrVectorStore(index, scope=field)
    config = {} if configurable is None else {"configurable": configurable}
    may = allowed(field, scope_of(configurable), call)
    try:
        inside(config, store.adelete if twin else store.delete, doomed, scope=call)
    except (*REFUSED, BadArgument):
        assert set(held(index)) == set(OWNERS)
        return
    gone = set(OWNERS) - set(held(index))
    assert gone == set(doomed) & set(OWNERS)
    assert gone <= may


new = st.fixed_dictionaries(
    {}, optional={"patient_id": st.sampled_from(PATIENTS), "encounter_id": st.sampled_from(STAYS),
                  "note_id": st.sampled_from(["n0", "n1", "n2", "m"])})  # fmt: skip


@MANY
@given(field=maybe, configurable=configurables, call=maybe, twin=st.booleans(),
       by=st.sampled_from(["store", "retriever", "texts"]),
       added=st.lists(st.tuples(new, st.sampled_from(["d0", "d1", "d2", "d99", None])),
                      max_size=3))  # fmt: skip
def test_nothing_is_written_outside(index, field, configurable, call, twin, by, added):
    filled(index)
    before = {c.chunk_id: c for c in index.store.scan(scope=EVERYBODY)}
    store = DrEhrVectorStore(index, scope=field)
    target = store.as_retriever() if by == "retriever" else store
    documents = [Document("new words", metadata=dict(metadata)) for metadata, _ in added]
    wanted = [f"d{900 + n}" if i is None else i for n, (_, i) in enumerate(added)]
    config = {} if configurable is None else {"configurable": configurable}

    try:
        if by == "texts":
            texts = ["new words"] * len(added)
            given = (texts, [dict(metadata) for metadata, _ in added])
            inside(config, store.aadd_texts if twin else store.add_texts, *given, ids=wanted,
                   scope=call)  # fmt: skip
        else:
            add = target.aadd_documents if twin else target.add_documents
            inside(config, add, documents, ids=wanted, scope=call)
    except (*REFUSED, BadArgument):
        assert {c.chunk_id: c for c in index.store.scan(scope=EVERYBODY)} == before
        return
    limits = [s for s in (field, scope_of(configurable), call) if s is not None]
    assert limits and "nobody" not in limits
    after = {c.chunk_id: c for c in index.store.scan(scope=EVERYBODY)}
    for chunk_id, chunk in after.items():
        if before.get(chunk_id) != chunk:
            owner = (chunk.patient_id, chunk.encounter_id)
            assert all(sees(scope, owner) for scope in limits)
            old = before.get(chunk_id)
            if old is not None:
                assert old.patient_id == chunk.patient_id
                assert all(sees(s, (old.patient_id, old.encounter_id)) for s in limits)
    assert set(before) <= set(after)


@tried(100)
@given(name=st.text(min_size=1), value=st.none() | names | scopes)
def test_no_other_argument_is_taken(index, name, value):
    """Whatever the name: it is one of ours, or an error."""
    store = filled(index)
    p1 = DrEhrVectorStore(index, scope=Patient("p1"))
    for call in (
        lambda: p1.similarity_search("heart", **{name: value}),
        lambda: p1.max_marginal_relevance_search_by_vector([1.0] * 16, **{name: value}),
        lambda: p1.as_retriever(search_kwargs={name: value}).invoke("heart"),
        lambda: DrEhrRetriever(index=index, scope=Patient("p1")).invoke("heart", **{name: value}),
        lambda: p1.as_retriever(**{name: value}).invoke("heart"),
    ):
        try:
            found = call()
        except (TypeError, BadArgument, ScopeError, ValidationError, AttributeError):
            continue
        assert {d.metadata["patient_id"] for d in found} <= {"p1"}
    assert set(held(index)) == set(OWNERS) and store


@FEW
@given(field=maybe, configurable=configurables, call=maybe, k=st.integers(1, 50),
       threshold=st.sampled_from([0.0, 0.3, 1.0]), twin=st.booleans())  # fmt: skip
def test_a_threshold_opens_nothing(index, field, configurable, call, k, threshold, twin):
    store = filled(index)
    wanted = {"score_threshold": threshold, "k": k}
    retriever = store.as_retriever(
        scope=field, search_type="similarity_score_threshold", search_kwargs=wanted
    )
    config = {} if configurable is None else {"configurable": configurable}
    may = allowed(EVERYBODY, field, scope_of(configurable), call)
    method = retriever.ainvoke if twin else retriever.invoke
    try:
        found = inside(config, method, "heart", scope=call)
    except REFUSED:
        return
    assert {d.id for d in found} <= may
    if not threshold:
        assert len(found) == min(k, len(may))


@FEW
@given(field=maybe, bound=maybe, configurable=configurables, twin=st.booleans())
def test_a_memory_recalls_and_keeps_nothing_outside(index, field, bound, configurable, twin):
    """What it is told is nobody's: kept where all patients may be seen, and nowhere else."""
    store = DrEhrVectorStore(filled(index).index, scope=field)
    config = {} if configurable is None else {"configurable": configurable}
    limits = [s for s in (field, scope_of(configurable), bound) if s is not None]
    try:
        retriever = store.as_retriever(scope=bound, search_kwargs={"k": 50})
    except REFUSED:
        return
    memory = VectorStoreRetrieverMemory(retriever=retriever, return_docs=True)
    try:
        load = memory.aload_memory_variables if twin else memory.load_memory_variables
        recalled = inside(config, load, {"prompt": "heart"})["history"]
    except REFUSED:
        recalled = []
    assert {d.id for d in recalled} <= allowed(*limits)
    with contextlib.suppress(*REFUSED):
        save = memory.asave_context if twin else memory.save_context
        inside(config, save, {"input": "heart"}, {"output": "fever"})
    told = {c.chunk_id for c in index.store.scan(scope=EVERYBODY)} - set(OWNERS)
    DrEhrVectorStore(index, scope=EVERYBODY).delete(list(told))
    assert len(told) == bool(limits and all(isinstance(s, AllPatients) for s in limits))


def of_qdrant(metadatas):
    """A collection as `langchain_qdrant` writes one, its points numbered from 9000."""
    client, encoder = QdrantClient(":memory:"), HashEncoder()
    client.create_collection("old", VectorParams(size=16, distance=Distance.COSINE))
    for number, metadata in enumerate(metadatas, 9000):
        text = f"heart {number}"
        vector = encoder.encode_passages([text])[0].tolist()
        payload = {"page_content": text, "metadata": metadata}
        client.upsert("old", [PointStruct(id=number, vector=vector, payload=payload)])
    return client


@FEW
@given(field=maybe, configurable=configurables, call=maybe, metadatas=st.lists(new, max_size=3),
       before=st.none() | st.sampled_from(PATIENTS))  # fmt: skip
def test_nothing_is_adopted_from_outside(index, field, configurable, call, metadatas, before):
    """Nor is what somebody else has under a point's id written over."""
    everything = filled(index)
    if before:
        everything.add_texts(["old"], [{"patient_id": before}], ids=["9000"])
    kept = {c.chunk_id: c for c in index.store.scan(scope=EVERYBODY)}
    store, client = DrEhrVectorStore(index, scope=field), of_qdrant(metadatas)
    config = {} if configurable is None else {"configurable": configurable}
    limits = [s for s in (field, scope_of(configurable), call) if s is not None]
    try:
        taken = inside(config, store.adopt, client, "old", scope=call)
    except (*REFUSED, BadArgument):
        taken = 0
    now = {c.chunk_id: c for c in index.store.scan(scope=EVERYBODY)}
    everything.delete(["9000", "9001", "9002"])
    new_ones = {i: c for i, c in now.items() if kept.get(i) != c}
    assert len(new_ones) == taken and taken in (0, len(metadatas))
    for chunk in new_ones.values():
        assert limits and "nobody" not in limits
        assert all(sees(scope, (chunk.patient_id, chunk.encounter_id)) for scope in limits)
    if "9000" in new_ones and before:
        assert new_ones["9000"].patient_id == before
    assert set(kept) <= set(now)


TRIED = {
    "search": ["asearch"],
    "similarity_search": ["asimilarity_search"],
    "similarity_search_with_score": ["asimilarity_search_with_score"],
    "similarity_search_with_relevance_scores": ["asimilarity_search_with_relevance_scores"],
    "similarity_search_by_vector": ["asimilarity_search_by_vector"],
    "max_marginal_relevance_search": ["amax_marginal_relevance_search"],
    "max_marginal_relevance_search_by_vector": ["amax_marginal_relevance_search_by_vector"],
    "get_by_ids": ["aget_by_ids"],
    "add_documents": ["aadd_documents"],
    "add_texts": ["aadd_texts"],
    "delete": ["adelete"],
    "adopt": [],
    "as_retriever": [],
}
"""With their twins."""

MADE = {"open", "from_texts", "afrom_texts", "from_documents", "afrom_documents"}
READS_NO_STORE = {
    DrEhrEmbeddings: {"of", "encoder", "embed_documents", "embed_query", "aembed_documents",
                      "aembed_query"},
    langchain.DrEhrTextSplitter: {"split_documents", "split_text", "create_documents",
                                  "transform_documents", "atransform_documents"},
    langchain.EhrNoteLoader: {"lazy_load", "alazy_load"},
    langchain.QdrantCollectionLoader: {"lazy_load", "alazy_load", "document"},
}  # fmt: skip
"""Classes that hold no index: there is no scope to leave."""


ANSWERING = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]


def answered(how, chain, config, given):
    """By one of a chain's ways to answer."""
    if how in ("stream", "invoke"):
        return list(chain.stream("heart", config, **given))[-1] if how == "stream" else (
            chain.invoke("heart", config, **given))  # fmt: skip
    if how in ("batch", "abatch"):
        asked = chain.batch if how == "batch" else chain.abatch
        found = asked(["heart", "heart"], config, **given)
        return (found if how == "batch" else asyncio.run(found))[1]

    async def streamed():
        return [part async for part in chain.astream("heart", config, **given)][-1]

    return asyncio.run(streamed() if how == "astream" else chain.ainvoke("heart", config, **given))


@FEW
@given(how=st.sampled_from(ANSWERING), field=maybe,
       configurable=configurables, call=maybe, narrowing=filters)  # fmt: skip
def test_no_answer_comes_from_outside(index, how, field, configurable, call, narrowing):
    filled(index)
    chain = langchain.ehr_qa_chain(index, scope=field)
    config = None if configurable is None else {"configurable": configurable}
    given = {**narrowing, **({} if call is None else {"scope": call})}
    try:
        answer = answered(how, chain, config, given)
    except (ScopeError, ScopeRequired, BadArgument):
        return
    seen = {hit.chunk.chunk_id for hit in answer.hits} | {c.chunk_id for c in answer.citations}
    assert seen <= allowed(field, scope_of(configurable), call)


def public(kind, *, base=object):
    """Names of a class that its base has not, or that it writes anew."""
    written = {n for one in kind.__mro__ if one.__module__.startswith("drehr") for n in vars(one)}
    names = {name for name in dir(kind) if name not in dir(base)} | written
    return {name for name in names if not name.startswith(("_", "model_"))}


def test_every_public_method_is_covered_here():
    """A new one must be tried against the wall too, LangChain's own among them."""
    assert {getattr(langchain, name) for name in langchain.__all__} == {
        *READS_NO_STORE, DrEhrRetriever, DrEhrVectorStore,
        EhrQaChain, langchain.ehr_qa_chain}  # fmt: skip
    assert public(EhrQaChain, base=Runnable) == set(ANSWERING)
    twins = {twin for names in TRIED.values() for twin in names}
    assert public(DrEhrVectorStore) == {*TRIED, *twins, *MADE, "embeddings"}
    assert public(DrEhrRetriever, base=BaseRetriever) == {"invoke", "ainvoke", "as_tool"}
    assert public(DrEhrVectorStoreRetriever, base=VectorStoreRetriever) == {
        "invoke", "ainvoke", "as_tool", "add_documents", "aadd_documents"}  # fmt: skip
    for kind, names in READS_NO_STORE.items():
        written = {name for name in vars(kind) if not name.startswith(("_", "model_"))}
        assert written == names


def test_of_two_who_want_one_id_at_once_one_is_refused(index, monkeypatch):
    """The second looks only after the first has written."""
    filled(index)
    both, write = threading.Barrier(2, timeout=0.2), index.store._write

    def slowly(points):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # here the other would have looked already, if it could
        write(points)

    monkeypatch.setattr(index.store, "_write", slowly)

    def add(patient):
        store = DrEhrVectorStore(index, scope=Patient(patient))
        try:
            return store.add_texts([patient], [{"patient_id": patient}], ids=["d700"])
        except ScopeError:
            return None

    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(add, ["p1", "p2"]))
    assert sorted(written, key=bool) == [None, ["d700"]]
    (chunk,) = index.get(["d700"], scope=EVERYBODY)
    assert chunk.text == chunk.patient_id == ["p1", "p2"][written.index(["d700"])]


def test_the_wall_is_looked_at_from_inside_too(index):
    """The naive rules above let something through, so that the tests above can fail."""
    store = filled(index)
    assert allowed(EVERYBODY) == set(OWNERS) and allowed() == set()
    assert 0 < len(allowed(Patient("p1"))) < len(OWNERS)
    assert len(store.similarity_search("heart", k=50)) == len(OWNERS)
    assert DrEhrEmbeddings.of(HashEncoder()).embed_query("heart")
