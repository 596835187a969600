"""The same notes and queries through the core, LangChain, LlamaIndex: chunks, order, scores."""

import asyncio
from dataclasses import asdict

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from pydantic import ValidationError

from drehr_rag import ward
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.integrations import langchain
from drehr_rag.integrations.llama_index import (
    DrEhrEmbedding,
    DrEhrNodeParser,
    DrEhrRetriever,
    DrEhrVectorStore,
    EhrNoteReader,
)
from drehr_rag.types import AllPatients, Cohort, Encounter, Patient

EVERYBODY = AllPatients(reason="test")
SCOPES = [Patient("p04"), Encounter("p01", "p01-e1"), Cohort(["p01", "p04", "p08"]), EVERYBODY]
MODES = {"default": "dense", "sparse": "lexical", "hybrid": "expanded"}
PATIENTS = {"p01", "p02", "p04", "p08"}
"""Whose notes are indexed: those that are searched, and one patient besides."""
CLOSE = 1e-5
"""Batches of other lengths change the last digits."""


@pytest.fixture(scope="module")
def all_three(tmp_path_factory):
    """A part of the ward, indexed by the core, LangChain and LlamaIndex, with a real encoder."""
    folder = tmp_path_factory.mktemp("parity")
    file = folder / "notes.jsonl"
    some = [note for note in ward.notes() if note.patient_id in PATIENTS]
    file.write_text("".join(f"{note.model_dump_json()}\n" for note in some))
    embedding = DrEhrEmbedding(
        "offline", encoder_options={"precision": "float32", "backend": "torch"}
    )
    store = DrEhrVectorStore.open(folder / "a", scope=EVERYBODY, encoder=embedding.encoder)
    pipeline = IngestionPipeline(
        transformations=[DrEhrNodeParser(encoder=embedding.encoder), embedding],
        vector_store=store,
    )
    pipeline.run(documents=EhrNoteReader().load_data(file))
    embeddings = langchain.DrEhrEmbeddings.of(embedding.encoder)
    chain = langchain.DrEhrVectorStore.open(folder / "c", embedding=embeddings, scope=EVERYBODY)
    splitter = langchain.DrEhrTextSplitter(embeddings)
    chain.add_documents(splitter.split_documents(langchain.EhrNoteLoader(file).lazy_load()))
    with store, chain.index, EhrIndex.open(folder / "b", encoder=embedding.encoder) as core:
        core.add(file)
        yield core, chain, store, embedding


def test_the_same_chunks(all_three):
    core, chain, store, _ = all_three
    mine = {chunk.chunk_id: chunk for chunk in core.store.scan(scope=EVERYBODY)}
    fields = ("note_id", "patient_id", "encounter_id", "start", "end", "text", "section")
    for index in (chain.index, store.client):
        theirs = {chunk.chunk_id: chunk for chunk in index.store.scan(scope=EVERYBODY)}
        assert mine.keys() == theirs.keys()
        for name, chunk in mine.items():
            for field in (*fields, "note_type", "written_at"):
                assert getattr(theirs[name], field) == getattr(chunk, field)


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: type(scope).__name__)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_order_and_scores(all_three, scope, mode):
    core, chain, store, embedding = all_three
    core_mode = MODES[mode]
    index = VectorStoreIndex.from_vector_store(store.with_scope(scope), embed_model=embedding)
    stock = index.as_retriever(similarity_top_k=8, vector_store_query_mode=mode)
    ours = DrEhrRetriever(store.client, scope=scope, similarity_top_k=8, mode=core_mode)
    bound = langchain.DrEhrVectorStore(chain.index, scope=scope, mode=core_mode)
    retriever = langchain.DrEhrRetriever(index=chain.index, scope=scope, k=8, mode=core_mode)
    for query in ("heart attack", "enoxaparin", "kidney injury", "family history of stroke"):
        hits = core.search(query, scope=scope, k=8, mode=core_mode)
        by_llama_index = (
            stock.retrieve(query),
            ours.retrieve(query),
            asyncio.run(stock.aretrieve(query)),
        )
        by_langchain = (
            bound.similarity_search_with_score(query, k=8),
            asyncio.run(bound.asimilarity_search_with_score(query, k=8)),
        )
        for found in (
            *([(n.node_id, n.score, n.metadata["patient_id"]) for n in f] for f in by_llama_index),
            *([(d.id, score, d.metadata["patient_id"]) for d, score in f] for f in by_langchain),
        ):
            same(found, hits)
        documents = retriever.invoke(query)
        assert [d.id for d in documents] == [d.id for d, _ in by_langchain[0]]


@pytest.mark.parametrize("assertion", ["ranked", "present", "any"])
def test_denials_are_told_apart_alike(all_three, assertion):
    """Four of the patients' notes deny chest pain."""
    core, chain, store, embedding = all_three
    hits = core.search("chest pain", scope=EVERYBODY, k=30, assertion=assertion)
    denied = [hit for hit in hits if hit.assertion == "negated"]
    assert bool(denied) == (assertion == "ranked")
    how = {"scope": EVERYBODY, "assertion": assertion}
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    stock = index.as_retriever(
        similarity_top_k=30,
        vector_store_query_mode="hybrid",
        vector_store_kwargs={"assertion": assertion},
    )
    ours = DrEhrRetriever(store.client, similarity_top_k=30, **how)
    for nodes in (stock.retrieve("chest pain"), ours.retrieve("chest pain")):
        same([(n.node_id, n.score, n.metadata["patient_id"]) for n in nodes], hits)
    bound = langchain.DrEhrVectorStore(chain.index, scope=EVERYBODY)
    narrowed = {"k": 30, "assertion": assertion}
    found = bound.similarity_search_with_score("chest pain", **narrowed)
    same([(d.id, score, d.metadata["patient_id"]) for d, score in found], hits)
    expected = [document.id for document, _ in found]
    for retriever in (
        langchain.DrEhrRetriever(index=chain.index, k=30, **how),
        bound.as_retriever(search_kwargs=narrowed),
    ):
        assert [document.id for document in retriever.invoke("chest pain")] == expected


@pytest.mark.parametrize(("query", "mode"), [("chest pain", "hybrid"), ("MI", "expanded")])
def test_what_a_hit_knows_is_told_alike(all_three, query, mode):
    """Denials are known in every mode, terms in mode expanded."""
    core, chain, store, _ = all_three
    hits = core.search(query, scope=EVERYBODY, mode=mode, k=30)
    known = {"scores", "assertion", "matches"}
    asked = {"scope": EVERYBODY, "mode": mode, "explain": True}
    nodes = DrEhrRetriever(store.client, similarity_top_k=30, **asked).retrieve(query)
    documents = langchain.DrEhrRetriever(index=chain.index, k=30, **asked).invoke(query)
    by_id = {hit.chunk.chunk_id: hit for hit in hits}
    assert any(hit.matches or hit.assertion == "negated" for hit in hits)
    for name, metadata in [(n.node_id, n.metadata) for n in nodes] + [
        (d.id, d.metadata) for d in documents
    ]:
        hit = by_id[name]
        assert known <= metadata.keys()
        assert metadata["assertion"] == hit.assertion
        assert metadata["matches"] == [asdict(match) for match in hit.matches]
        assert metadata["scores"] == pytest.approx(hit.scores, abs=CLOSE)


@pytest.mark.parametrize("assertion", ["denied", None])
def test_an_unknown_assertion_is_refused_when_it_is_given(all_three, assertion):
    _, chain, store, _ = all_three
    bound = langchain.DrEhrVectorStore(chain.index, scope=EVERYBODY)
    for make in (
        lambda: DrEhrRetriever(store.client, scope=EVERYBODY, assertion=assertion),
        lambda: langchain.DrEhrRetriever(index=chain.index, assertion=assertion),
        lambda: bound.as_retriever(search_kwargs={"assertion": assertion}),
    ):
        with pytest.raises((BadArgument, ValidationError)):
            make()


def same(found, hits):
    """Scores are equal up to rounding; the order, wherever scores differ by more than that."""
    assert [score for _, score, _ in found] == pytest.approx([h.score for h in hits], abs=CLOSE)
    assert {patient for _, _, patient in found} == {hit.chunk.patient_id for hit in hits}
    clear = [
        place
        for place, hit in enumerate(hits)
        if all(abs(hit.score - other.score) > 2 * CLOSE for other in hits if other != hit)
    ]
    assert [found[place][0] for place in clear] == [hits[place].chunk.chunk_id for place in clear]
