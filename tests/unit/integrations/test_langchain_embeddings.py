"""`DrEhrEmbeddings`: each verb takes its own path, and the loop stays free."""

import asyncio
import threading

import numpy as np
import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from pydantic import ValidationError

from drehr_rag.errors import UnknownName
from drehr_rag.integrations import _encoders
from drehr_rag.integrations.langchain import DrEhrEmbeddings
from drehr_rag.testing import HashEncoder


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return DrEhrEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "offline"}


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return DrEhrEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "offline"}


class Asymmetric(HashEncoder):
    """Queries have a prompt; encoding waits until it may."""

    def __init__(self):
        super().__init__()
        self.may = threading.Event()
        self.may.set()

    def encode_queries(self, texts):
        self.may.wait(10)
        return super().encode_queries([f"query {text}" for text in texts])

    def encode_passages(self, texts):
        self.may.wait(10)
        return HashEncoder.encode_queries(self, texts)


async def test_queries_and_passages_take_their_own_paths():
    encoder = Asymmetric()
    made = DrEhrEmbeddings.of(encoder)
    query, passages = made.embed_query("stroke"), made.embed_documents(["stroke", "plan"])
    assert query != passages[0]
    np.testing.assert_array_equal(np.float32([query]), encoder.encode_queries(["stroke"]))
    np.testing.assert_array_equal(np.float32(passages), encoder.encode_passages(["stroke", "plan"]))
    assert await made.aembed_query("stroke") == query
    assert await made.aembed_documents(["stroke", "plan"]) == passages


async def test_the_loop_is_free_while_it_encodes():
    encoder = Asymmetric()
    encoder.may.clear()
    made = DrEhrEmbeddings.of(encoder)
    tasks = [asyncio.create_task(made.aembed_query("a")), asyncio.create_task(
        made.aembed_documents(["b"]))]  # fmt: skip
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in tasks)
    encoder.may.set()
    assert [len(result) for result in await asyncio.gather(*tasks)] == [16, 1]


def test_nothing_is_loaded_before_it_is_needed_and_then_once(monkeypatch):
    loaded = []

    def load(name, **options):
        loaded.append((name, options))
        return HashEncoder()

    monkeypatch.setattr(_encoders, "load_encoder", load)
    made = DrEhrEmbeddings(model_name="only-here", model_kwargs={"device": "cpu"})
    assert loaded == []
    threads = [threading.Thread(target=made.embed_query, args=("x",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [("only-here", {"device": "cpu"})]


def test_what_would_change_the_vectors_is_no_option():
    with pytest.raises(ValidationError, match="encode_kwargs"):
        DrEhrEmbeddings(model="offline", encode_kwargs={"normalize_embeddings": False})
    with pytest.raises(UnknownName, match="no encoder is called"):
        DrEhrEmbeddings(model="offlin").embed_query("x")


def test_no_documents_no_vectors():
    assert DrEhrEmbeddings.of(HashEncoder()).embed_documents([]) == []
