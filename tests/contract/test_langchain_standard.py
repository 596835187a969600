"""LangChain's own conformance suite for vector stores, complete, on every store there is."""

import uuid

import pytest
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from drehr_rag import AllPatients
from drehr_rag.integrations.langchain import DrEhrVectorStore

EVERYBODY = AllPatients(reason="the suite's documents have no patient")


class Standard(VectorStoreIntegrationTests):
    """The suite, on a store of our own kind."""

    mode = "hybrid"

    def location(self, folder):
        return ":memory:"

    @pytest.fixture
    def vectorstore(self, tmp_path):
        place = self.location(tmp_path)
        store = DrEhrVectorStore.open(
            place, embedding=self.get_embeddings(), scope=EVERYBODY, mode=self.mode
        )
        yield store
        store.index.close()


class TestMemory(Standard):
    pass


class TestMemoryDense(Standard):
    mode = "dense"


class TestEdge(Standard):
    def location(self, folder):
        return str(folder / f"{uuid.uuid4()}.idx")


class TestEdgeDense(TestEdge):
    mode = "dense"
