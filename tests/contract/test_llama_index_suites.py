"""Our own LlamaIndex classes pass the suites that we offer to others; broken ones do not."""

import asyncio
import json
from typing import ClassVar

import pytest
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import VectorStoreQueryResult

from drehr_rag.integrations.llama_index import DrEhrEmbedding, DrEhrNodeParser, DrEhrVectorStore
from drehr_rag.testing import HashEncoder
from drehr_rag.testing.llama_index import EmbeddingSuite, IngestionSuite, VectorStoreSuite
from drehr_rag.types import AllPatients, Patient

EVERYBODY = AllPatients(reason="the suite writes for everybody")


class TestEmbedding(EmbeddingSuite):
    def embedding(self, **settings):
        return DrEhrEmbedding(encoder=HashEncoder(query_prompt="find: "), **settings)

    def waiting(self, wait):
        class Waiting(HashEncoder):
            def _rows(self, texts):
                wait()
                return super()._rows(texts)

        return DrEhrEmbedding(encoder=Waiting())

    def others(self):
        encoders = [
            HashEncoder(),
            HashEncoder(query_prompt="find: ", salt="x"),
            HashEncoder(query_prompt="find: ", max_tokens=9),
        ]
        return [DrEhrEmbedding(encoder=encoder) for encoder in encoders]

    def alike(self):
        some = [{"embed_batch_size": 2}, {"num_workers": 3}, {"device": "cuda"}]
        return [self.embedding(**settings) for settings in some]

    @pytest.fixture(autouse=True)
    def _loadable(self, monkeypatch):
        """The encoder has a name that another process could load."""
        from drehr_rag.integrations import _encoders

        monkeypatch.setattr(
            _encoders, "load_encoder", lambda name, **_: HashEncoder(query_prompt="find: ")
        )
        _encoders._loaded.cache_clear()
        yield
        _encoders._loaded.cache_clear()


class OnOurStore:
    encoder = HashEncoder(dimension=32)

    def open_store(self, folder):
        return DrEhrVectorStore.open(self.place(folder), scope=EVERYBODY, encoder=self.encoder)

    def bind(self, store, patient_id):
        return store.with_scope(Patient(patient_id))

    def close(self, store):
        store.close()


class InAFolder(OnOurStore):
    def place(self, folder):
        return folder


class InMemory(OnOurStore):
    def place(self, folder):
        return ":memory:"


class TestStoreInAFolder(InAFolder, VectorStoreSuite):
    def reopen(self, folder, persisted):
        return DrEhrVectorStore.from_persist_dir(
            str(persisted), scope=EVERYBODY, encoder=self.encoder
        )


class TestStoreInMemory(InMemory, VectorStoreSuite):
    pass


class OurIngestion:
    def transformations(self):
        parser = DrEhrNodeParser(encoder=self.encoder, chunker_options={"target_tokens": 50})
        return [parser, DrEhrEmbedding(encoder=self.encoder)]


class TestIngestionInAFolder(OurIngestion, InAFolder, IngestionSuite):
    pass


class TestIngestionInMemory(OurIngestion, InMemory, IngestionSuite):
    pass


class Broken(DrEhrVectorStore):
    @property
    def core(self):
        return self._opened.index.store


class Widens(Broken):
    """Takes the whole store where filters are given."""

    def query(self, query, **kwargs):
        whole = self if query.filters is None else DrEhrVectorStore(self.client, scope=EVERYBODY)
        return DrEhrVectorStore.query(whole, query)


class WidensForIds(Broken):
    def get_nodes(self, node_ids=None, filters=None):
        whole = DrEhrVectorStore(self.client, scope=EVERYBODY) if node_ids else self
        return DrEhrVectorStore.get_nodes(whole, node_ids, filters)


class DeletesAnybodys(Broken):
    def delete(self, ref_doc_id, **kwargs):
        self.core.delete_notes([ref_doc_id])


class DeletesAll(Broken):
    def delete_nodes(self, node_ids=None, filters=None, **kwargs):
        if not node_ids and not filters:
            self.core.delete(scope=self.scope)
        else:
            super().delete_nodes(node_ids, filters)


class WritesForAnybody(Broken):
    def add(self, nodes, **kwargs):
        return DrEhrVectorStore(self.client, scope=EVERYBODY).add(nodes)


class LosesGenerators(Broken):
    def add(self, nodes, **kwargs):
        ids = [node.node_id for node in nodes]
        super().add(list(nodes))
        return ids


class AddsMetadata(Broken):
    def get_nodes(self, node_ids=None, filters=None):
        nodes = super().get_nodes(node_ids, filters)
        for node in nodes:
            node.metadata["_id"] = node.node_id
        return nodes


class Blocks(Broken):
    async def aquery(self, query, **kwargs):
        return self.query(query, **kwargs)


class WritesHalf(Broken):
    """A cancelled write stops in the middle."""

    async def async_add(self, nodes, **kwargs):
        self.add(nodes[:3])
        await asyncio.sleep(0.05)
        return self.add(nodes)


class SavesNothing(Broken):
    def persist(self, persist_path, fs=None):
        return None


class Empty(SimpleVectorStore):
    def get_nodes(self, node_ids=None, filters=None):
        return []


class ComesBackEmpty(Broken):
    def __reduce__(self):
        return (Empty, ())


class IgnoresFilters(Broken):
    def query(self, query, **kwargs):
        query.filters = None
        return super().query(query)


class TakesLetters(Broken):
    def get_nodes(self, node_ids=None, filters=None):
        return super().get_nodes(None if node_ids is None else list(node_ids), filters)


class Repeats(Broken):
    def get_nodes(self, node_ids=None, filters=None):
        if node_ids is None:
            return super().get_nodes(None, filters)
        return [node for one in node_ids for node in super(Repeats, self).get_nodes([one], filters)]


class FirstStands(Broken):
    def add(self, nodes, **kwargs):
        once = {node.node_id: node for node in reversed(list(nodes))}
        return super().add(list(once.values()))


class DropsBare(Broken):
    def add(self, nodes, **kwargs):
        return super().add([node for node in nodes if node.get_content().strip()])


class ChangesMetadata(Broken):
    def add(self, nodes, **kwargs):
        nodes = list(nodes)
        for node in nodes:
            node.metadata = json.loads(json.dumps(node.metadata, default=str))
        return super().add(nodes)


class WritesSome(Broken):
    def add(self, nodes, **kwargs):
        nodes = list(nodes)
        super().add(nodes[:5000])
        return [node.node_id for node in nodes]


class MixesQueries(Broken):
    latest: ClassVar = []

    async def aquery(self, query, **kwargs):
        self.latest.append(query)
        await asyncio.sleep(0.01)
        return self.query(self.latest[-1])


class DiesWhenCancelled(Broken):
    cancelled: ClassVar = []

    async def aquery(self, query, **kwargs):
        try:
            await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.append(query)
            raise
        return self.query(query)

    def query(self, query, **kwargs):
        if self.cancelled:
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        return super().query(query)


BROKEN = [
    (TakesLetters, "test_one_text_is_no_list_of_ids"),
    (Repeats, "test_ids_given_twice_or_by_a_generator"),
    (FirstStands, "test_nodes_of_one_id_in_one_call"),
    (DropsBare, "test_a_node_without_text_is_kept_or_refused"),
    (ChangesMetadata, "test_metadata_that_json_cannot_hold"),
    (WritesSome, "test_many_nodes_in_one_call"),
    (MixesQueries, "test_many_queries_at_once"),
    (DiesWhenCancelled, "test_a_cancelled_query_leaves_the_store_as_it_was"),
    (Widens, "test_no_argument_widens_a_scope"),
    (WidensForIds, "test_no_argument_widens_a_scope"),
    (DeletesAnybodys, "test_no_argument_deletes_what_is_outside"),
    (DeletesAll, "test_nothing_is_deleted_by_leaving_something_out"),
    (WritesForAnybody, "test_a_bound_store_writes_for_its_patient_only"),
    (LosesGenerators, "test_nodes_may_come_from_a_generator"),
    (AddsMetadata, "test_nodes_come_back_as_they_were"),
    (Blocks, "test_the_event_loop_stays_free"),
    (WritesHalf, "test_a_cancelled_write_is_whole_or_absent"),
    (SavesNothing, "test_saved_with_its_storage_context_and_loaded_again"),
    (ComesBackEmpty, "test_a_pickle_works_or_is_refused"),
    (IgnoresFilters, "test_filters_mean_what_they_say"),
]


@pytest.mark.parametrize(("kind", "test"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_the_suite_sees_what_is_broken(monkeypatch, kind, test):
    monkeypatch.setattr("drehr_rag.testing.llama_index._check.PATIENCE", 0.2)

    class OfTheBroken(InMemory, VectorStoreSuite):
        def open_store(self, folder):
            return kind.open(":memory:", scope=EVERYBODY, encoder=self.encoder)

    with pytest.raises(AssertionError):
        getattr(OfTheBroken(), test)()


class OneSided(TestEmbedding):
    """LlamaIndex's own way with a cache, and with the event loop."""

    __test__ = False

    def embedding(self, **settings):
        class Plain(DrEhrEmbedding):
            def __setattr__(self, name, value):
                object.__setattr__(self, "__dict__", {**self.__dict__, name: value})

            async def _aget_query_embedding(self, query):
                return self._get_query_embedding(query)

        return Plain(encoder=HashEncoder(query_prompt="find: "), **settings)


def test_the_suite_sees_an_embedding_that_is_broken(monkeypatch):
    monkeypatch.setattr("drehr_rag.testing.llama_index._check.PATIENCE", 0.2)
    broken = OneSided()
    with pytest.raises(AssertionError, match="another vector"):
        broken.test_a_cache_keeps_the_sides_apart()
    broken.alike = lambda: broken.others()
    with pytest.raises(AssertionError, match="does not change vectors"):
        broken.test_the_hash_changes_exactly_with_the_vectors()
    broken.others = lambda: [broken.embedding()]
    with pytest.raises(AssertionError, match="same hash"):
        broken.test_the_hash_changes_exactly_with_the_vectors()

    class Blocking(DrEhrEmbedding):
        async def _aget_text_embeddings(self, texts):
            return self._get_text_embeddings(texts)

    class Slow(HashEncoder):
        def _rows(self, texts):
            self.wait()
            return super()._rows(texts)

    def waiting(wait):
        encoder = Slow()
        encoder.wait = wait
        return Blocking(encoder=encoder)

    class Forgets(DrEhrEmbedding):
        def _get_text_embeddings(self, texts):
            return super()._get_text_embeddings(sorted(texts))

    broken.embedding = lambda **settings: Forgets(encoder=HashEncoder(), **settings)
    with pytest.raises(AssertionError, match="another vector"):
        broken.test_odd_texts()

    class Stops(DrEhrEmbedding):
        async def _aget_query_embedding(self, query):
            try:
                await asyncio.sleep(0.005)
                return self._get_query_embedding(query)
            except asyncio.CancelledError:
                self.model_name = "stopped"
                raise
            finally:
                if self.model_name == "stopped":
                    self._encoder = HashEncoder(salt="stopped")

    broken.embedding = lambda: Stops(encoder=HashEncoder())
    with pytest.raises(AssertionError, match="another vector"):
        broken.test_a_cancelled_call_leaves_the_model_as_it_was()
    broken.waiting = waiting
    with pytest.raises(AssertionError, match="event loop stood still"):
        broken.test_the_event_loop_stays_free()


class Doubles(Broken):
    """Forgets to delete what a changed document left."""

    def delete(self, ref_doc_id, **kwargs):
        return None


@pytest.mark.parametrize("test", ["test_an_edit_replaces_and_leaves_the_rest", "test_asynchronous"])
def test_the_suite_sees_documents_doubled(test):
    class OfTheBroken(OurIngestion, InMemory, IngestionSuite):
        def open_store(self, folder):
            return Doubles.open(":memory:", scope=EVERYBODY, encoder=self.encoder)

    with pytest.raises(AssertionError, match="are right"):
        getattr(OfTheBroken(), test)()
