"""What the frameworks' own Qdrant stores wrote is taken over, vectors and ids included."""

import numpy as np
import pytest
from framework_notes import few_notes
from qdrant_client import QdrantClient, models
from qdrant_loopback import Loopback

from drehr_rag import AllPatients, Patient
from drehr_rag.errors import BadArgument, EncoderMismatch, ScopeError, StoreMissing
from drehr_rag.integrations import _adoption, langchain, llama_index
from drehr_rag.integrations.langchain._foreign import embeddings_of
from drehr_rag.testing import HashEncoder

langchain_qdrant = pytest.importorskip("langchain_qdrant")
stock = pytest.importorskip("llama_index.vector_stores.qdrant")

EVERYBODY = AllPatients(reason="test")
ENCODER = HashEncoder(dimension=16)


class Counting(HashEncoder):
    texts = 0

    def encode_passages(self, texts):
        self.texts += len(texts)
        return super().encode_passages(texts)


@pytest.fixture
def documents():
    from langchain_core.documents import Document

    return [
        Document(page_content=note.text, metadata={"patient_id": note.patient_id, "share": 0.1 * n})
        for n, note in enumerate(few_notes())
    ]


@pytest.fixture
def of_langchain(documents):
    client = QdrantClient(":memory:")
    vectors = models.VectorParams(size=16, distance=models.Distance.COSINE)
    client.create_collection("notes", vectors)
    store = langchain_qdrant.QdrantVectorStore(client, "notes", embeddings_of(ENCODER))
    store.add_documents(documents)
    return client


@pytest.fixture
def of_llama_index(documents):
    from llama_index.core.schema import MetadataMode, TextNode

    client = QdrantClient(":memory:")
    nodes = [TextNode(text=one.page_content, metadata=one.metadata) for one in documents]
    for node in nodes:
        text = node.get_content(metadata_mode=MetadataMode.EMBED)
        node.embedding = ENCODER.encode_passages([text])[0].tolist()
    stock.QdrantVectorStore("notes", client=client).add(nodes)
    return client, nodes


def of_ours(kind, encoder=ENCODER, scope=EVERYBODY):
    if kind == "langchain":
        return langchain.DrEhrVectorStore.open(
            ":memory:", embedding=embeddings_of(encoder), scope=scope
        )
    return llama_index.DrEhrVectorStore.open(":memory:", encoder=encoder, scope=scope)


def test_langchains_documents_come_with_their_vectors(of_langchain, documents, monkeypatch):
    monkeypatch.setattr(_adoption, "PAGE", 3)
    encoder = Counting(dimension=16)
    store = of_ours("langchain", encoder)
    probes = encoder.texts
    assert store.adopt(of_langchain, "notes") == len(documents)
    assert encoder.texts - probes <= 3  # those of the sample, not all
    records = of_langchain.scroll("notes", with_vectors=True)[0]
    held = store.index.store.vectors([str(r.id) for r in records], scope=EVERYBODY)
    for record in records:
        assert held[str(record.id)] == pytest.approx(np.array(record.vector), abs=1e-6)
    found = store.get_by_ids([str(r.id) for r in records])
    assert sorted(map(repr, (d.metadata for d in found))) == sorted(
        map(repr, (d.metadata for d in documents))
    )
    mine = store.similarity_search("heart failure", scope=Patient("p1"))
    assert {document.metadata["patient_id"] for document in mine} == {"p1"}
    assert store.adopt(of_langchain, "notes") == len(documents)  # again: the same
    assert store.index.count(scope=EVERYBODY) == len(documents)


def test_llama_indexs_nodes_come_with_their_vectors(of_llama_index):
    client, nodes = of_llama_index
    with of_ours("llama_index") as store:
        assert store.adopt(client, "notes") == len(nodes)
        back = {node.node_id: node for node in store.get_nodes()}
        assert {key: node.metadata for key, node in back.items()} == {
            node.node_id: node.metadata for node in nodes
        }
        held = store.client.store.vectors(list(back), scope=EVERYBODY)
        for node in nodes:
            assert held[node.node_id] == pytest.approx(np.array(node.embedding), abs=1e-6)


@pytest.fixture(params=["folder", "server"])
def elsewhere(request, tmp_path):
    """A client of a folder, as it is opened again, or of a server over REST."""
    if request.param == "folder":
        client = QdrantClient(path=str(tmp_path / "theirs"))
        yield client, lambda: client.close() or QdrantClient(path=str(tmp_path / "theirs"))
        return
    with Loopback(strict=True) as server:

        def connect():
            return QdrantClient(url=server.url, check_compatibility=False)

        yield connect(), connect


@pytest.mark.parametrize("kind", ["langchain", "llama_index"])
def test_from_a_folder_and_from_a_server(kind, elsewhere, documents, of_llama_index, monkeypatch):
    """Page by page, with ids and vectors; and what was there is there still."""
    monkeypatch.setattr(_adoption, "PAGE", 3)
    client, again = elsewhere
    if kind == "langchain":
        vectors = models.VectorParams(size=16, distance=models.Distance.COSINE)
        client.create_collection("notes", vectors)
        theirs = langchain_qdrant.QdrantVectorStore(client, "notes", embeddings_of(ENCODER))
        theirs.add_documents(documents)
    else:
        stock.QdrantVectorStore("notes", client=client).add(of_llama_index[1])
    client = again()
    records = client.scroll("notes", with_vectors=True)[0]
    store = of_ours(kind)
    assert store.adopt(client, "notes") == len(records) == len(documents)
    index = store.index if kind == "langchain" else store.client
    held = index.store.vectors([str(one.id) for one in records], scope=EVERYBODY)
    for record in records:
        assert held[str(record.id)] == pytest.approx(np.array(record.vector), abs=1e-6)
    owners = [chunk.patient_id for chunk in index.get(list(held), scope=EVERYBODY)]
    assert sorted(owners) == sorted(one.metadata["patient_id"] for one in documents)
    assert client.scroll("notes", with_vectors=True)[0] == records
    client.close()


@pytest.mark.parametrize("kind", ["langchain", "llama_index"])
def test_vectors_of_another_encoder_are_refused(kind, of_langchain, of_llama_index):
    client = of_langchain if kind == "langchain" else of_llama_index[0]
    for encoder, said in [
        (HashEncoder(dimension=16, salt="x"), "sampled vectors are not what"),
        (HashEncoder(dimension=32), "have 16 dimensions, the encoder's 32"),
    ]:
        store = of_ours(kind, encoder)
        with pytest.raises((EncoderMismatch, BadArgument), match=said):
            store.adopt(client, "notes")
        index = store.index if kind == "langchain" else store.client
        assert index.count(scope=EVERYBODY) == 0


@pytest.mark.parametrize("kind", ["langchain", "llama_index"])
def test_what_lies_outside_the_scope_is_not_taken(kind, of_langchain, of_llama_index):
    client = of_langchain if kind == "langchain" else of_llama_index[0]
    store = of_ours(kind, scope=Patient("p1"))
    with pytest.raises(ScopeError):
        store.adopt(client, "notes")
    index = store.index if kind == "langchain" else store.client
    assert index.count(scope=EVERYBODY) == 0


@pytest.mark.parametrize("kind", ["langchain", "llama_index"])
def test_other_collections_are_errors(kind, of_langchain, of_llama_index):
    other = of_llama_index[0] if kind == "langchain" else of_langchain
    store = of_ours(kind)
    with pytest.raises(StoreMissing, match="no collection none"):
        store.adopt(other, "none")
    with pytest.raises(BadArgument, match=r"no text under 'page_content'|holds no LlamaIndex node"):
        store.adopt(other, "notes")


def test_the_dense_vectors_are_named_where_there_are_several():
    vectors = {"a": [1.0, 0.0], "b": [0.0, 1.0]}
    records = [models.Record(id=1, payload={}, vector=vectors)]
    with pytest.raises(BadArgument, match="vectors a, b: name one"):
        _adoption.dense(records, None, 2)
    assert _adoption.dense(records, "b", 2).tolist() == [[0.0, 1.0]]
    with pytest.raises(BadArgument, match="no dense vector 'c'"):
        _adoption.dense(records, "c", 2)
    sparse = {"a": [1.0, 0.0], "words": models.SparseVector(indices=[1], values=[1.0])}
    alone = [models.Record(id=1, payload={}, vector=sparse)]
    assert _adoption.dense(alone, None, 2).tolist() == [[1.0, 0.0]]
