"""Every asynchronous method of either framework goes on when the loop's own threads are all taken.

They resolve host names and serve other libraries; notes must not wait for them, nor they for notes.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from framework_notes import few_notes
from langchain_core.documents import Document as LangChainDocument
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import Document, TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery
from qdrant_client import QdrantClient, models

from drehr_rag import EhrIndex, Patient
from drehr_rag.integrations import langchain as lc
from drehr_rag.integrations import llama_index as li
from drehr_rag.testing import HashEncoder

ENCODER = HashEncoder(dimension=32)
P1 = Patient("p1")
QUERY = "heart failure"


@contextmanager
def all_threads_taken():
    """The running loop's default executor does nothing until the end of the block."""
    with ThreadPoolExecutor(1) as executor:
        end = Event()
        executor.submit(end.wait, 60)
        asyncio.get_running_loop().set_default_executor(executor)
        try:
            yield
        finally:
            end.set()


@pytest.fixture
def index():
    with EhrIndex.open(":memory:", encoder=ENCODER) as index:
        index.add(few_notes())
        yield index


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(f"{note.model_dump_json()}\n" for note in few_notes()))
    return path


async def test_a_hundred_searches_at_once(index):
    store = li.DrEhrVectorStore(index, scope=P1)
    model = li.DrEhrEmbedding(encoder=ENCODER)
    on_top = VectorStoreIndex.from_vector_store(store, embed_model=model).as_retriever()
    ours, theirs = li.DrEhrRetriever(index, scope=P1), lc.DrEhrRetriever(index=index, scope=P1)
    for search in (ours.aretrieve, on_top.aretrieve, theirs.ainvoke):
        expected = await search(QUERY)
        with all_threads_taken():
            found = await asyncio.wait_for(asyncio.gather(*[search(QUERY) for _ in range(100)]), 30)
        assert len(expected) > 1
        assert found == [expected] * 100


async def test_llama_index(index, file):
    store = li.DrEhrVectorStore(index, scope=P1)
    model = li.DrEhrEmbedding(encoder=ENCODER)
    node = TextNode(text="Gout.", metadata={"patient_id": "p1"})
    node.embedding = model.get_text_embedding("patient_id: p1\n\nGout.")
    query = VectorStoreQuery(query_str=QUERY, query_embedding=model.get_query_embedding(QUERY))
    heart = MetadataFilters(filters=[MetadataFilter(key="note_id", value="n1")])
    document = Document(text=few_notes()[0].text)
    calls = [
        lambda: li.DrEhrRetriever(index, scope=P1).aretrieve_grouped(QUERY),
        lambda: model.aget_query_embedding(QUERY),
        lambda: model.aget_text_embedding(QUERY),
        lambda: model.aget_text_embedding_batch([QUERY]),
        lambda: model.acall([TextNode(text="Gout.")]),
        lambda: li.DrEhrNodeParser(encoder=ENCODER).acall([document]),
        lambda: li.EhrNoteReader().aload_data(file),
        lambda: li.EhrNoteReader().alazy_load_data(file),
        lambda: store.async_add([node]),
        lambda: store.aquery(query),
        lambda: store.aget_nodes(),
        lambda: store.adelete_nodes(filters=heart),
        lambda: store.adelete("n2"),
        lambda: store.aclear(),
    ]
    with all_threads_taken():
        found = [await asyncio.wait_for(call(), 20) for call in calls]
    assert all(found[:-3])
    assert store.get_nodes() == []


async def test_langchain(index, file):
    embeddings = lc.DrEhrEmbeddings.of(ENCODER)
    store = lc.DrEhrVectorStore(index, scope=P1)
    mine = {"metadata": {"patient_id": "p1"}}
    client = QdrantClient(":memory:")
    client.create_collection("old", models.VectorParams(size=2, distance="Cosine"))
    client.upsert(
        "old", [models.PointStruct(id=1, vector=[1, 0], payload={"page_content": "Gout."})]
    )
    vector = embeddings.embed_query(QUERY)
    calls = [
        lambda: lc.DrEhrRetriever(index=index, scope=P1).as_tool().ainvoke(QUERY),
        lambda: store.as_retriever().ainvoke(QUERY),
        lambda: store.as_retriever(search_type="mmr").ainvoke(QUERY),
        lambda: embeddings.aembed_query(QUERY),
        lambda: embeddings.aembed_documents([QUERY]),
        lambda: lc.DrEhrTextSplitter(embeddings).atransform_documents([LangChainDocument("Gout.")]),
        lambda: lc.EhrNoteLoader(file).aload(),
        lambda: lc.QdrantCollectionLoader(client, "old").aload(),
        lambda: store.aadd_documents([LangChainDocument("Gout.", **mine)]),
        lambda: store.aadd_texts(["Fever."], [mine["metadata"]], ids=["fever"]),
        lambda: store.aget_by_ids(["fever"]),
        lambda: store.asearch(QUERY, "similarity"),
        lambda: store.asimilarity_search_with_score(QUERY),
        lambda: store.asimilarity_search_with_relevance_scores(QUERY),
        lambda: store.asimilarity_search_by_vector(vector),
        lambda: store.amax_marginal_relevance_search(QUERY),
        lambda: store.amax_marginal_relevance_search_by_vector(vector),
        lambda: store.adelete(["fever"]),
        lambda: lc.DrEhrVectorStore.afrom_texts(
            ["Gout."], embeddings, [{"patient_id": "p1"}], scope=P1
        ),
        lambda: lc.DrEhrVectorStore.afrom_documents(
            [LangChainDocument("Gout.", **mine)], embeddings, scope=P1
        ),
    ]
    with all_threads_taken():
        found = [await asyncio.wait_for(call(), 20) for call in calls]
    assert all(found)
    for made in found[-2:]:
        assert made.index.count(scope=P1) == 1
        made.index.close()
