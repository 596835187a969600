"""Input that is odd but happens: the right result or an error, never a silent loss."""

import asyncio
from datetime import datetime
from functools import partial
from typing import Any

from llama_index.core.schema import BaseNode, TextNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from drehr_rag.testing.llama_index._check import check, refuses
from drehr_rag.testing.llama_index._sample import embedded, sample
from drehr_rag.testing.llama_index._store_cases import StoreCases

MANY = 10_000
"""Nodes of one call."""

AT_ONCE = 100
"""Queries."""

NOT_JSON: list[Any] = [
    float("nan"),
    float("inf"),
    object(),
    {"a", "b"},
    ("a", "b"),
    b"bytes",
    datetime(2180, 5, 7),
    {1: "a key that is no text"},
    [{"deep": {"a"}}],
    "half a pair: \ud800",
]
"""Metadata values that JSON cannot hold, or gives back as something else."""


class OddInput(StoreCases):
    """Ids given twice, as a generator or as one text; empty nodes; metadata that is no JSON."""

    def test_ids_given_twice_or_by_a_generator(self) -> None:
        """Each node comes once; deleting it twice is deleting it."""
        with self._filled() as store:
            twice = ["p1-1", "p2-1", "p1-1"]
            found = [node.node_id for node in store.get_nodes(node_ids=twice)]
            check(found == ["p1-1", "p2-1"], "get_nodes gives a node twice, or none")
            ids = store.query(self._query("gout", top_k=100, node_ids=twice)).ids
            check(sorted(ids or []) == ["p1-1", "p2-1"], "a query gives a node twice, or none")
            drawn: Any = (name for name in twice)
            check(_ids(store.get_nodes(node_ids=drawn)) == {*twice}, "a generator of ids")
            drawn = (name for name in twice)
            store.delete_nodes(node_ids=drawn)
            check(len(self._held(store)) == len(sample()) - 2, "a generator of ids to delete")

    def test_one_text_is_no_list_of_ids(self) -> None:
        """Its letters are not ids: nothing found would be taken for nothing there."""
        with self._filled() as store:
            one: Any = "p1-1"
            refuses(partial(store.get_nodes, node_ids=one), "a text as ids to get")
            refuses(partial(store.delete_nodes, node_ids=one), "a text as ids to delete")
            refuses(partial(store.query, self._query("gout", node_ids=one)), "a text as ids")
            refuses(partial(store.query, self._query("gout", doc_ids=one)), "a text as documents")

    def test_nodes_of_one_id_in_one_call(self) -> None:
        """The same twice is one; two that differ are refused, or the later one stands."""
        with self._opened() as store:
            same = embedded(sample()[:1], self.model())
            store.add([*same, *same])
            check(self._held(store) == {"p1-0"}, "the same node twice")
            found = store.query(self._query("gout", top_k=9)).ids
            check(found == ["p1-0"], "the same node is found twice, or not")
            texts = ("asthma", "anaemia")
            nodes: list[BaseNode] = [
                TextNode(id_="own", text=text, metadata={"patient_id": "p1"}) for text in texts
            ]
            if _writes(store, embedded(nodes, self.model())):
                (held,) = store.get_nodes(node_ids=["own"])
                check(held.get_content() == texts[-1], "the later one is lost")
            else:
                check("own" not in self._held(store), "refused, and yet written")

    def test_a_node_without_text_is_kept_or_refused(self) -> None:
        """What stands beside it is written with it, or not at all."""
        for text in ("", " \n"):
            with self._opened() as store:
                node = TextNode(id_="bare", text=text, metadata={"patient_id": "p1"})
                node.embedding = self.model().get_text_embedding("gout")
                written = _writes(store, [*embedded(sample()[:2], self.model()), node])
                expected = {"p1-0", "p1-1", "bare"} if written else set()
                check(self._held(store) == expected, "a part is lost")
                if written:
                    (found,) = store.get_nodes(node_ids=["bare"])
                    check(found.get_content() == text, "its text has changed")

    def test_metadata_that_json_cannot_hold(self) -> None:
        """They come back equal and of the same type, or the call is refused whole."""
        with self._opened() as store:
            for number, value in enumerate(NOT_JSON):
                metadata = {"patient_id": "p1", "value": value}
                node = TextNode(id_=f"odd-{number}", text="gout", metadata=metadata)
                node.excluded_embed_metadata_keys = list(metadata)
                beside = TextNode(id_=f"plain-{number}", text="gout", metadata={"patient_id": "p1"})
                written = _writes(store, embedded([beside, node], self.model()))
                found = store.get_nodes(node_ids=[f"plain-{number}", f"odd-{number}"])
                check(len(found) == (2 if written else 0), "a part was written")
                if written:
                    held = found[1].metadata["value"]
                    check(repr(held) == repr(value), f"{type(value).__name__} came back changed")

    def test_many_nodes_in_one_call(self) -> None:
        """All are there, and the last one is found."""
        with self._opened() as store:
            vector = self.model().get_text_embedding("gout")
            nodes: list[BaseNode] = [
                TextNode(
                    id_=f"many-{number}",
                    text="gout",
                    metadata={"patient_id": "p1"},
                    excluded_embed_metadata_keys=["patient_id"],
                    embedding=vector,
                )
                for number in range(MANY)
            ]
            check(len(store.add(nodes)) == MANY, "not all ids are returned")
            ids = [f"many-{number}" for number in range(MANY)]
            check(len(store.get_nodes(node_ids=ids)) == MANY, "not all are there")

    def test_many_queries_at_once(self) -> None:
        """Each gives what it gives alone."""
        with self._filled() as store:
            queries = [self._query(("gout", "fever")[i % 2]) for i in range(AT_ONCE)]
            alone = [store.query(query).ids for query in queries[:2]]

            async def at_once() -> list[Any]:
                return await asyncio.gather(*(store.aquery(query) for query in queries))

            found = [result.ids for result in asyncio.run(at_once())]
            check(found == alone * (AT_ONCE // 2), "other nodes than alone")

    def test_a_cancelled_query_leaves_the_store_as_it_was(self) -> None:
        """Before it began or while it runs: later calls give what they gave."""
        with self._filled() as store:
            before = store.query(self._query("gout")).ids

            async def cancel() -> list[Any]:
                for wait in (0.0, 0.001, 0.01):
                    task = asyncio.create_task(store.aquery(self._query("gout")))
                    await asyncio.sleep(wait)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                return [await store.aquery(self._query("gout"))]

            check([found.ids for found in asyncio.run(cancel())] == [before], "aquery, later")
            check(store.query(self._query("gout")).ids == before, "query, later")


def _writes(store: BasePydanticVectorStore, nodes: list[BaseNode]) -> bool:
    """Whether the store takes them."""
    try:
        store.add(nodes)
    except Exception:
        return False
    return True


def _ids(nodes: list[BaseNode]) -> set[str]:
    return {node.node_id for node in nodes}
