"""The wall through LlamaIndex: no argument of any public method finds or removes what is outside.

Every case is a random ceiling and random arguments, good and bad. A method may answer or raise;
what it returns, and what is gone afterwards, must lie inside the ceiling.
"""

import asyncio
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from how_often import examples, tried
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine
from llama_index.core.llms import CustomLLM, MockLLM
from llama_index.core.memory import ChatMemoryBuffer, VectorMemoryBlock
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import (
    MetadataMode,
    NodeRelationship,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from pydantic import Field
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from drehr_rag.errors import DrehrError
from drehr_rag.integrations.llama_index import (
    DrEhrEmbedding,
    DrEhrRetriever,
    DrEhrVectorStore,
    EhrChatEngine,
    EhrQueryEngine,
)
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Cohort, Encounter, Patient

MANY = tried(300)
"""Of each kind on each store."""

FEW = tried(60)
"""Where an example takes longer."""

ENCODER = HashEncoder(dimension=16)
MODEL = DrEhrEmbedding(encoder=ENCODER)
EVERYBODY = AllPatients(reason="test")
PATIENTS = ["p0", "p1", "p2", None]
ENCOUNTERS = ["e0", "e1", None]  # shared by patients on purpose
WORDS = "heart failure kidney injury warfarin lasix pain fever".split()


def made(name, text, patient, encounter, document):
    metadata = {"ward": text.split()[0], "number": len(text)}
    metadata |= {} if patient is None else {"patient_id": patient}
    metadata |= {} if encounter is None else {"encounter_id": encounter}
    node = TextNode(
        id_=name,
        text=text,
        metadata=metadata,
        excluded_embed_metadata_keys=list(metadata),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
    )
    node.embedding = MODEL.get_text_embedding(text)
    return node


NODES = [
    made(
        f"n{i}",
        f"{WORDS[i % len(WORDS)]} {WORDS[(3 * i + 1) % len(WORDS)]}",
        PATIENTS[i % 4],
        ENCOUNTERS[(i // 4) % 3],
        f"d{i % 8}",  # several to a document, all of one patient
    )
    for i in range(40)
]
BY_ID = {node.node_id: node for node in NODES}


def inside(node, scope):
    """The rules, written once more and naively."""
    patient, encounter = node.metadata.get("patient_id"), node.metadata.get("encounter_id")
    if isinstance(scope, Patient):
        return patient == scope.patient_id
    if isinstance(scope, Encounter):
        return (patient, encounter) == (scope.patient_id, scope.encounter_id)
    return isinstance(scope, AllPatients) or patient in scope.patient_ids


@pytest.fixture(scope="module", params=[":memory:", "folder"])
def ward(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("wall") / "idx" if request.param == "folder" else ":memory:"
    with DrEhrVectorStore.open(place, scope=EVERYBODY, encoder=ENCODER) as store:
        store.add(NODES)
        yield SimpleNamespace(store=store, index=store.client)


people = st.sampled_from(["p0", "p1", "p2", "stranger"])
stays = st.sampled_from(["e0", "e1", "e9"])
narrow_scopes = st.one_of(
    st.builds(Patient, people),
    st.builds(Encounter, people, stays),
    st.builds(Cohort, st.lists(people, max_size=3)),
)
scopes = narrow_scopes | st.just(EVERYBODY)


def mostly(good, bad):
    """One in forty is bad: errors must be tried, but an error finds nothing."""
    return st.integers(0, 39).flatmap(lambda number: good if number else bad)


node_ids = mostly(
    st.none() | st.none() | st.lists(st.sampled_from([*BY_ID, "unknown"]), max_size=20),
    st.sampled_from(["n1", [None], ["n1", None], [3], {}, 7, [""]]),
)
doc_ids = st.none() | st.none() | st.lists(st.sampled_from([f"d{i}" for i in range(8)]), max_size=4)
O = FilterOperator  # noqa: E741
KINDS = {
    "patient_id": people,
    "encounter_id": stays,
    "ward": st.sampled_from(WORDS),
    "number": st.integers(8, 20),
    "doc_id": st.sampled_from([f"d{i}" for i in range(8)]),
    "nothing": people,
}
ONE = [O.EQ, O.NE, O.GT, O.LTE]
MANY_VALUES = [O.IN, O.NIN]


def leaf(key):
    made_of = [
        st.tuples(st.sampled_from(ONE), KINDS[key]),
        st.tuples(st.sampled_from(MANY_VALUES), st.lists(KINDS[key], max_size=3)),
        st.just((O.IS_EMPTY, None)),
    ]
    if key != "number":
        made_of.append(st.tuples(st.sampled_from([O.TEXT_MATCH, O.CONTAINS]), KINDS[key]))
    return st.one_of(made_of).map(
        lambda pair: MetadataFilter(key=key, operator=pair[0], value=pair[1])
    )


bad_leaves = st.builds(
    MetadataFilter,
    key=st.sampled_from(list(KINDS)),
    operator=st.sampled_from(FilterOperator),
    value=st.none() | people | st.lists(people, max_size=2) | st.integers(0, 3),
)
leaves = mostly(st.sampled_from(list(KINDS)).flatmap(leaf), bad_leaves)
joined = st.sampled_from([*FilterCondition, None])


def group(parts):
    filled = st.builds(
        MetadataFilters, filters=st.lists(parts, min_size=1, max_size=3), condition=joined
    )
    return mostly(filled, st.builds(MetadataFilters, filters=st.just([]), condition=joined))


filters = st.none() | st.recursive(group(leaves), lambda inner: group(inner | leaves), max_leaves=5)
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
vectors = words.map(MODEL.get_query_embedding)
vector_queries = st.builds(
    VectorStoreQuery,
    query_embedding=mostly(vectors, st.none()),
    similarity_top_k=st.integers(1, 60),
    doc_ids=doc_ids,
    node_ids=node_ids,
    query_str=mostly(words, st.none()),
    mode=mostly(
        st.sampled_from(["default", "sparse", "hybrid"]).map(VectorStoreQueryMode),
        st.sampled_from(VectorStoreQueryMode),
    ),
    alpha=mostly(st.none() | st.sampled_from([0.0, 0.5, 1.0]), st.just(2.0)),
    filters=filters,
    sparse_top_k=st.none() | st.integers(1, 60),
    hybrid_top_k=st.none() | st.integers(1, 60),
)
FOUND = Counter()
"""How often a kind of call raised, found nothing, found something."""

LEAST = 0.1 if examples(300) == 300 else 0.03
"""Of the calls must find something; of few cases, chance may leave fewer."""


def answered(call):
    """What a call gives; None where it raises an error of ours."""
    try:
        return call()
    except DrehrError:
        return None


def seen(result):
    """Every node that a result shows."""
    if result is None:
        return []
    for name in ("source_nodes", "nodes"):
        result = getattr(result, name, result)
    return [getattr(found, "node", found) for found in result]


def check(result, ceiling):
    for node in seen(result):
        assert inside(BY_ID[node.node_id], ceiling)
        assert node.text == BY_ID[node.node_id].text


@MANY
@given(ceiling=scopes, later=scopes, query=vector_queries)
def test_queries(ward, ceiling, later, query):
    bound = ward.store.with_scope(ceiling)
    result = answered(lambda: bound.query(query))
    check(result, ceiling)
    FOUND["query", None if result is None else bool(result.ids)] += 1
    if result is not None:
        assert len(result.nodes) == len(result.similarities) == len(result.ids)
        assert set(result.ids) == {node.node_id for node in result.nodes}
    check(answered(lambda: asyncio.run(bound.aquery(query))), ceiling)
    narrower = answered(lambda: bound.with_scope(later))
    if narrower is not None:
        result = answered(lambda: narrower.query(query))
        check(result, ceiling)
        check(result, later)


@MANY
@given(ceiling=scopes, ids=node_ids, chosen=filters)
def test_get_nodes(ward, ceiling, ids, chosen):
    bound = ward.store.with_scope(ceiling)
    found = answered(lambda: bound.get_nodes(ids, chosen))
    check(found, ceiling)
    FOUND["get_nodes", None if found is None else bool(found)] += 1
    check(answered(lambda: asyncio.run(bound.aget_nodes(ids, chosen))), ceiling)
    if ids is None and chosen is None:
        assert {n.node_id for n in found} == {n.node_id for n in NODES if inside(n, ceiling)}


@MANY
@given(
    ceiling=scopes,
    ids=node_ids,
    chosen=filters,
    document=st.sampled_from([*(f"d{i}" for i in range(8)), *BY_ID, "", "None"]) | st.none(),
    how=st.sampled_from(["delete", "delete_nodes", "clear"]),
    off_the_loop=st.booleans(),
)
def test_deletions(ward, ceiling, ids, chosen, document, how, off_the_loop):
    bound = ward.store.with_scope(ceiling)
    arguments = {"delete": (document,), "delete_nodes": (ids, chosen), "clear": ()}[how]
    if off_the_loop:
        answered(lambda: asyncio.run(getattr(bound, f"a{how}")(*arguments)))
    else:
        answered(lambda: getattr(bound, how)(*arguments))
    left = {node.node_id for node in ward.store.get_nodes()}
    gone = [BY_ID[name] for name in BY_ID.keys() - left]
    FOUND["deletion", bool(gone)] += 1
    if gone:
        ward.store.add(gone)
    assert all(inside(node, ceiling) for node in gone)
    if how == "delete":
        assert all(node.ref_doc_id == document for node in gone)
    if how == "delete_nodes" and gone:
        assert ids is not None or chosen is not None
        assert ids is None or {node.node_id for node in gone} <= set(ids)


@MANY
@given(
    ceiling=scopes,
    name=st.sampled_from([*BY_ID, *["new"] * 20]),
    patient=st.none() | people,
    encounter=st.none() | stays,
    own=st.booleans(),
    beside=st.sampled_from([False, False, True]),
)
def test_writing(ward, ceiling, name, patient, encounter, own, beside):
    """Nothing of somebody outside is written, and nothing outside is written over."""
    bound = ward.store.with_scope(ceiling)
    if own:  # by chance this is rare
        patient = BY_ID[name].metadata.get("patient_id") if name in BY_ID else "p1"
        patient = getattr(ceiling, "patient_id", patient)
        encounter = getattr(ceiling, "encounter_id", encounter)
    node = made(name, "fever fever", patient, encounter, "d9")
    nodes = [made("beside", "pain", "p0", "e0", "d9"), node] if beside else [node]
    written = answered(lambda: bound.add(nodes))
    now = {found.node_id: found for found in ward.store.get_nodes()}
    ward.store.delete("d9")
    lost = BY_ID.keys() - {found.node_id for found in ward.store.get_nodes()}
    if lost:
        ward.store.add([BY_ID[lost_name] for lost_name in lost])
    FOUND["writing", bool(written)] += 1
    changed = [found for found in now.values() if found.ref_doc_id == "d9"]
    assert bool(changed) == (written is not None)
    for found in changed:
        assert inside(found, ceiling)
        before = BY_ID.get(found.node_id)
        assert before is None or inside(before, ceiling)
        assert before is None or before.metadata.get("patient_id") == patient


core_filters = st.fixed_dictionaries(
    {},
    optional={
        "note_type": st.sampled_from(["Letter", []]),
        "section": st.sampled_from(["plan", []]),
        "since": st.just("2180-01-01"),
    },
)


@MANY
@given(
    ceiling=scopes,
    later=scopes,
    query=words | st.sampled_from(["", "?!", "patient_id p1"]),
    imagined=st.none() | st.lists(words, min_size=1, max_size=2),
    k=st.integers(1, 60),
    mode=st.sampled_from(["hybrid", "dense", "lexical", "rrf", "expanded"]),
    assertion=st.sampled_from(["ranked", "present", "any"]),
    narrowed_by=core_filters,
)
def test_retrievers(ward, ceiling, later, query, imagined, k, mode, assertion, narrowed_by):
    made_with = {"mode": mode, "assertion": assertion, "similarity_top_k": k, **narrowed_by}
    retriever = DrEhrRetriever(ward.index, scope=ceiling, **made_with)
    bundle = QueryBundle(query, custom_embedding_strs=imagined)
    narrower = answered(lambda: retriever.with_scope(later))
    for one, limits in ((retriever, [ceiling]), (narrower, [ceiling, later])):
        if one is None:
            continue
        results = [
            answered(lambda one=one: one.retrieve(bundle)),
            answered(lambda one=one: asyncio.run(one.aretrieve(bundle))),
        ]
        groups = answered(lambda one=one: one.retrieve_grouped(query, k=k, per_patient=3)) or []
        groups += answered(lambda one=one: asyncio.run(one.aretrieve_grouped(query, k=k))) or []
        for group in groups:
            assert group.patient_id is not None
            assert {n.metadata["patient_id"] for n in group.nodes} == {group.patient_id}
            results.append(group)
        for result in results:
            for limit in limits:
                check(result, limit)


@MANY
@given(
    ceiling=scopes,
    mode=st.sampled_from(["default", "sparse", "hybrid"]),
    chosen=filters,
    ids=doc_ids,
    query=words,
)
def test_an_index_and_its_engines_on_top(ward, ceiling, mode, chosen, ids, query):
    bound = ward.store.with_scope(ceiling)
    index = VectorStoreIndex.from_vector_store(bound, embed_model=MODEL)
    asked = {
        "vector_store_query_mode": mode,
        "filters": chosen,
        "doc_ids": ids,
        "similarity_top_k": 60,
    }
    check(answered(lambda: index.as_retriever(**asked).retrieve(query)), ceiling)
    engine = index.as_query_engine(llm=MockLLM(max_tokens=8), **asked)
    check(answered(lambda: engine.query(query)), ceiling)


class Listener(CustomLLM):
    """A language model that keeps what it was told."""

    told: list = Field(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(context_window=100_000)

    def complete(self, prompt, formatted=False, **kwargs):
        self.told.append(prompt)
        return CompletionResponse(text="so be it")

    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield self.complete(prompt)


@FEW
@given(ceiling=scopes, turns=st.lists(words, min_size=1, max_size=3))
def test_a_model_is_told_nothing_from_outside(ward, ceiling, turns):
    """Neither by an engine nor by the memory of a conversation."""
    allowed = {node.metadata.get("patient_id") for node in NODES if inside(node, ceiling)}
    retriever = DrEhrRetriever(ward.index, scope=ceiling, similarity_top_k=60)
    for kind in (ContextChatEngine, CondensePlusContextChatEngine):
        model = Listener()
        engine = kind.from_defaults(
            retriever=retriever, llm=model, memory=ChatMemoryBuffer.from_defaults()
        )
        for turn in turns:
            check(engine.chat(turn), ceiling)
            check(asyncio.run(engine.achat(turn)), ceiling)
        shown = {name for text in model.told for name in re.findall(r"patient_id: (\S+)", text)}
        assert shown == allowed - {None}
        assert len(engine.chat_history) == 4 * len(turns)
    model = Listener()
    check(RetrieverQueryEngine.from_args(retriever, llm=model).query(turns[0]), ceiling)
    shown = {name for text in model.told for name in re.findall(r"patient_id: (\S+)", text)}
    assert shown == allowed - {None}


@FEW
@given(ceiling=scopes, turn=words, session=st.sampled_from(["s1", "p1", None]))
def test_a_memory_kept_in_the_store(ward, ceiling, turn, session):
    """It recalls what is in scope. What it is told is nobody's: kept under all patients only."""
    bound = ward.store.with_scope(ceiling)
    block = VectorMemoryBlock(vector_store=bound, embed_model=MODEL, similarity_top_k=60)
    message = ChatMessage(role="user", content=turn, additional_kwargs={})

    async def remember():
        recalled = await block.aget([message], session_id=session)
        try:
            await block.aput([message], from_short_term_memory=True)
        except DrehrError:
            return recalled, False
        return recalled, True

    recalled, kept = asyncio.run(remember())
    told = [node for node in ward.store.get_nodes() if node.node_id not in BY_ID]
    ward.store.delete_nodes([node.node_id for node in told])
    assert kept == isinstance(ceiling, AllPatients)
    assert len(told) == kept
    shown = set(recalled.split("\n\n")) if recalled else set()
    assert shown <= {node.text for node in NODES if inside(node, ceiling)}


def test_the_cases_above_were_not_empty_ones():
    """A wall against which nothing is thrown holds too."""
    for kind in {kind for kind, _ in FOUND}:
        total = sum(count for (other, _), count in FOUND.items() if other == kind)
        assert FOUND[kind, True] > total * LEAST, FOUND
        assert FOUND[kind, True] < total


@FEW
@given(ceiling=scopes, patients=st.lists(people, min_size=1, max_size=3))
def test_adopting(ward, ceiling, patients):
    """A collection in which one node is somebody else's is not taken over, nor any part of it."""
    bound, encoder = ward.store.with_scope(ceiling), ward.store.client.encoder
    client = QdrantClient(":memory:")
    size = encoder.fingerprint.dimension
    client.create_collection("old", VectorParams(size=size, distance=Distance.COSINE))
    nodes = [made(f"old-{i}", "fever", p, "e0", "d8") for i, p in enumerate(patients)]
    for number, node in enumerate(nodes):
        text = node.get_content(metadata_mode=MetadataMode.EMBED)
        vector = encoder.encode_passages([text])[0].tolist()
        payload = node_to_metadata_dict(node)
        client.upsert("old", [PointStruct(id=number, vector=vector, payload=payload)])
    answered(lambda: bound.adopt(client, "old"))
    taken = [node for node in ward.store.get_nodes() if node.node_id.startswith("old-")]
    ward.store.delete("d8")
    FOUND["adoption", bool(taken)] += 1
    assert all(inside(node, ceiling) for node in taken)
    assert len(taken) in (0, len(nodes))


PUBLIC = {
    "add",
    "adopt",
    "query",
    "get_nodes",
    "delete",
    "delete_nodes",
    "clear",
    "async_add",
    "aquery",
    "aget_nodes",
    "adelete",
    "adelete_nodes",
    "aclear",
    "with_scope",
}
NEITHER = {
    "open",
    "class_name",
    "client",
    "scope",
    "persist",
    "from_persist_path",
    "from_persist_dir",
    "close",
}


@FEW
@given(scope=scopes, narrower=scopes, words=st.sampled_from(WORDS), twin=st.booleans())
def test_no_answer_comes_from_outside(ward, scope, narrower, words, twin):
    engine = EhrQueryEngine(ward.index, scope=scope)
    for wanted in (None, narrower):
        try:
            one = engine if wanted is None else engine.with_scope(wanted)
        except DrehrError:
            continue
        response = asyncio.run(one.aquery(words)) if twin else one.query(words)
        seen = {node.node_id for node in response.source_nodes}
        seen |= {citation.chunk_id for citation in response.metadata["answer"].citations}
        assert all(inside(BY_ID[name], scope) for name in seen)
        assert wanted is None or all(inside(BY_ID[name], wanted) for name in seen)


@tried(30)
@given(
    scope=scopes, narrower=scopes, words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)
)
def test_no_conversation_reaches_outside(ward, scope, narrower, words):
    chat = EhrChatEngine(ward.index, scope=scope)
    for wanted in (None, narrower):
        try:
            one = chat if wanted is None else chat.with_scope(wanted)
        except DrehrError:
            continue
        assert one.chat_history == []
        for n, said in enumerate(words):
            answered = one.stream_chat(said) if n % 2 else asyncio.run(one.achat(said))
            seen = {node.node_id for node in answered.source_nodes}
            assert all(inside(BY_ID[name], scope) for name in seen)
            assert wanted is None or all(inside(BY_ID[name], wanted) for name in seen)


def test_every_public_method_is_covered_here():
    """A new one must be tried against the wall too."""
    own = {name for name in vars(DrEhrVectorStore) if not name.startswith(("_", "model_"))}
    own -= {"stores_text", "is_embedding_query"}
    assert own == PUBLIC | NEITHER
    own = {name for name in vars(DrEhrRetriever) if not name.startswith("_")}
    assert own == {"scope", "with_scope", "retrieve_grouped", "aretrieve_grouped"}
    assert {name for name in vars(EhrQueryEngine) if not name.startswith("_")} == {
        "scope",
        "with_scope",
    }
    own = {name for name in vars(EhrChatEngine) if not name.startswith("_")}
    streamed = {"stream_chat", "astream_chat"}
    assert own == {"scope", "with_scope", "chat", "achat", "chat_history", "reset"} | streamed
