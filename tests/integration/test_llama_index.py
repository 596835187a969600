"""The same notes and queries through the core and through LlamaIndex: chunks, order, scores."""

import asyncio

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline

from drehr_rag import ward
from drehr_rag.index import EhrIndex
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
MODES = {"default": "dense", "sparse": "lexical", "hybrid": "hybrid"}
CLOSE = 2e-3
"""Batches of other lengths change bfloat16's last digits."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The ward, indexed by the core and by LlamaIndex's pipeline, with a real encoder."""
    folder = tmp_path_factory.mktemp("parity")
    file = folder / "notes.jsonl"
    file.write_text("".join(f"{note.model_dump_json()}\n" for note in ward.notes()))
    embedding = DrEhrEmbedding("offline")
    store = DrEhrVectorStore.open(folder / "a", scope=EVERYBODY, encoder=embedding.encoder)
    pipeline = IngestionPipeline(
        transformations=[DrEhrNodeParser(encoder=embedding.encoder), embedding],
        vector_store=store,
    )
    pipeline.run(documents=EhrNoteReader().load_data(file))
    with store, EhrIndex.open(folder / "b", encoder=embedding.encoder) as core:
        core.add(file)
        yield core, store, embedding


def test_the_same_chunks(both):
    core, store, _ = both
    mine = {chunk.chunk_id: chunk for chunk in core.store.scan(scope=EVERYBODY)}
    theirs = {chunk.chunk_id: chunk for chunk in store.client.store.scan(scope=EVERYBODY)}
    assert mine.keys() == theirs.keys()
    fields = ("note_id", "patient_id", "encounter_id", "start", "end", "text", "source", "section")
    for name, chunk in mine.items():
        for field in (*fields, "note_type", "written_at"):
            assert getattr(theirs[name], field) == getattr(chunk, field)


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: type(scope).__name__)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_order_and_scores(both, scope, mode):
    core, store, embedding = both
    index = VectorStoreIndex.from_vector_store(store.with_scope(scope), embed_model=embedding)
    stock = index.as_retriever(similarity_top_k=8, vector_store_query_mode=mode)
    ours = DrEhrRetriever(store.client, scope=scope, similarity_top_k=8, mode=MODES[mode])
    for query in ("heart attack", "enoxaparin", "kidney injury", "family history of stroke"):
        hits = core.search(query, scope=scope, k=8, mode=MODES[mode])
        for found in (
            stock.retrieve(query),
            ours.retrieve(query),
            asyncio.run(stock.aretrieve(query)),
        ):
            assert [n.score for n in found] == pytest.approx([h.score for h in hits], abs=CLOSE)
            clear = [
                i
                for i, hit in enumerate(hits)
                if all(abs(hit.score - other.score) > 2 * CLOSE for other in hits if other != hit)
            ]
            assert [found[i].node_id for i in clear] == [hits[i].chunk.chunk_id for i in clear]
            assert {n.metadata["patient_id"] for n in found} == {h.chunk.patient_id for h in hits}
