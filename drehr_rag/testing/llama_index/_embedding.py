"""The suite of an embedding model."""

import asyncio
import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from threading import Event
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore

from drehr_rag.testing.llama_index._check import check, refuses, run_beside, wait_for

TEXTS = ["heart failure", "gout of the left toe", "heart failure", "fever"]
LONGEST_PICKLE = 10_000
"""Bytes; weights are larger, a name and settings are not."""


class EmbeddingSuite(ABC):
    """Subclass it, name the subclass `Test…`, fill in the first four methods.

    Checked: each side by its own path, with and without a cache; asynchronous calls that leave
    the event loop free; odd texts; a pickle that is small and works; a hash that changes with the
    vectors and with nothing else.
    """

    @abstractmethod
    def embedding(self, **settings: Any) -> BaseEmbedding:
        """The embedding model; `settings` are LlamaIndex's own.

        Its vector of a query must differ from that of a passage of the same words.
        """

    @abstractmethod
    def waiting(self, wait: Any) -> BaseEmbedding:
        """One whose model calls `wait()`, which blocks, before it gives a vector."""

    @abstractmethod
    def others(self) -> Sequence[BaseEmbedding]:
        """Some with other vectors: other weights, prompts, lengths."""

    @abstractmethod
    def alike(self) -> Sequence[BaseEmbedding]:
        """Some with the same vectors: another device, batch size, number of workers."""

    def test_the_two_sides_differ_and_agree_with_themselves(self) -> None:
        """One text or many, synchronous or not: the same vector on the same side."""
        model = self.embedding(embed_batch_size=3)
        one_by_one = [model.get_text_embedding(text) for text in TEXTS]
        _close(model.get_text_embedding_batch(TEXTS), one_by_one)
        _close(asyncio.run(model.aget_text_embedding_batch(TEXTS)), one_by_one)
        _close([asyncio.run(model.aget_text_embedding(TEXTS[0]))], one_by_one[:1])
        query = model.get_query_embedding(TEXTS[0])
        _close([asyncio.run(model.aget_query_embedding(TEXTS[0]))], [query])
        check(not _alike(query, one_by_one[0]), "a query has the vector of a passage")
        check(all(type(n) is float for n in query), "vectors are lists of Python's own floats")

    def test_a_cache_keeps_the_sides_apart(self) -> None:
        """Whichever is asked for first; a model that refuses a cache passes too."""
        plain = self.embedding()
        query, passage = plain.get_query_embedding("gout"), plain.get_text_embedding("gout")
        for query_first in (True, False):
            try:
                model = self.embedding(embeddings_cache=SimpleKVStore())
            except Exception:
                return
            asked = [model.get_query_embedding, model.get_text_embedding]
            for ask in asked if query_first else reversed(asked):
                ask("gout")
            _close([model.get_query_embedding("gout")], [query])
            _close([model.get_text_embedding("gout")], [passage])
            _close(model.get_text_embedding_batch(["gout"]), [passage])
            _close([asyncio.run(model.aget_query_embedding("gout"))], [query])
            _close(asyncio.run(model.aget_text_embedding_batch(["gout"])), [passage])

    def test_the_event_loop_stays_free(self) -> None:
        """Another task of the loop must be done before the model may go on."""
        node = TextNode(text="gout")
        for call in (
            lambda model: model.aget_query_embedding("gout"),
            lambda model: model.aget_text_embedding("gout"),
            lambda model: model.aget_text_embedding_batch(["gout", "fever"]),
            lambda model: model.acall([node]),
        ):
            event = Event()
            model = self.waiting(partial(wait_for, event))
            check(bool(run_beside(partial(call, model), event)), "no vector")

    def test_odd_texts(self) -> None:
        """None at all, the same twice, an empty one, what is no text: right, or an error."""
        model = self.embedding(embed_batch_size=2)
        check(model.get_text_embedding_batch([]) == [], "no text, and yet vectors")
        check(asyncio.run(model.aget_text_embedding_batch([])) == [], "no text, async")
        twice = model.get_text_embedding_batch(["gout", "fever", "gout"])
        _close(twice[:1], twice[2:])
        nothing: Any = None
        refuses(partial(model.get_text_embedding, nothing), "None as a text")
        refuses(partial(model.get_query_embedding, nothing), "None as a query")
        try:
            empty = model.get_text_embedding("")
        except Exception:
            return
        _close(model.get_text_embedding_batch(["gout", "", "gout"]), [twice[0], empty, twice[0]])

    def test_a_cancelled_call_leaves_the_model_as_it_was(self) -> None:
        """Before it began or while it runs."""
        model = self.embedding()
        before = model.get_query_embedding("gout")

        async def cancel() -> list[float]:
            for wait in (0.0, 0.001, 0.01):
                task = asyncio.create_task(model.aget_query_embedding("fever"))
                await asyncio.sleep(wait)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            return await model.aget_query_embedding("gout")

        _close([asyncio.run(cancel())], [before])

    def test_a_pickle_is_small_and_works(self) -> None:
        """LlamaIndex pickles transformations for `num_workers` above 1."""
        model = self.embedding(embed_batch_size=3)
        shipped = pickle.dumps(model)
        check(len(shipped) < LONGEST_PICKLE, "the weights are in the pickle")
        there = pickle.loads(shipped)
        check(there.embed_batch_size == model.embed_batch_size, "a setting was lost")
        _close(there.get_text_embedding_batch(TEXTS), model.get_text_embedding_batch(TEXTS))
        _close([there.get_query_embedding("gout")], [model.get_query_embedding("gout")])
        check(_hash(there) == _hash(model), "the hash changed on the way")

    def test_the_hash_changes_exactly_with_the_vectors(self) -> None:
        """`IngestionPipeline` takes vectors from its cache by this hash."""
        own = _hash(self.embedding())
        check(_hash(self.embedding()) == own, "the hash is another each time")
        for other in self.others():
            check(_hash(other) != own, f"another model has the same hash: {other.model_name}")
        for same in self.alike():
            check(_hash(same) == own, "what does not change vectors changes the hash")

    def test_metadata_that_is_excluded_stays_out_of_the_vector(self) -> None:
        """As `MetadataMode.EMBED` says."""
        model = self.embedding()
        metadata = {"patient_id": "p1"}
        node = TextNode(text="gout", metadata=metadata, excluded_embed_metadata_keys=["patient_id"])
        check(node.get_content(MetadataMode.EMBED) == "gout", "LlamaIndex has changed")
        (embedded,) = model([node])
        _close([embedded.embedding], [model.get_text_embedding("gout")])


def _hash(model: BaseEmbedding) -> str:
    own: str = get_transformation_hash([TextNode(text="gout")], model)
    return own


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) < 1e-4 for a, b in zip(one, other, strict=True)
    )


def _close(given: Sequence[Any], expected: Sequence[Any]) -> None:
    check(len(given) == len(expected), "as many vectors as texts")
    check(all(map(_alike, given, expected)), "a text has another vector than before")
