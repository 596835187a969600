"""The suite of a vector store that keeps patients apart."""

import asyncio
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.schema import BaseNode, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQueryMode,
)

from drehr_rag.testing.llama_index._check import check, refuses, run_beside, wait_for
from drehr_rag.testing.llama_index._odd_input import OddInput
from drehr_rag.testing.llama_index._sample import MEANT, REACHING, WORDS, embedded, sample

MINE = {f"p1-{number}" for number in range(len(WORDS))}
THEIRS = ["p2-0", "p2-4", "p3-1", "p2-document"]
SELECTIONS: list[list[str] | None] = [None, [], THEIRS, ["p1-1", *THEIRS], ["nobody"]]
"""Node ids to select by."""


class VectorStoreSuite(OddInput):
    """Subclass it, name the subclass `Test…`, fill in the first two methods or more.

    Checked: nodes come back as they were; a store bound to a patient neither finds, writes nor
    deletes anybody else's, whatever it is asked; filters mean what they say; asynchronous twins
    leave the event loop free; LlamaIndex's index works on top and can be saved; odd input gives
    the right result or an error.
    """

    # -- nodes ---------------------------------------------------------------------------------

    def test_nodes_come_back_as_they_were(self) -> None:
        """By id and by query: class, text, metadata, relations, offsets, what is excluded."""
        with self._filled() as store:
            given = {node.node_id: _without_vector(node) for node in sample()}
            found = store.get_nodes(node_ids=list(given))
            check([node.node_id for node in found] == list(given), "the order of the ids")
            query = self._query("gout", top_k=100)
            result = store.query(query)
            check(result.ids == [node.node_id for node in result.nodes or []], "ids of the nodes")
            check(len(result.nodes or []) == len(given), "as many nodes as were added")
            for node in (*found, *(result.nodes or [])):
                check(_without_vector(node) == given[node.node_id], f"{node.node_id} has changed")
                check(list(node.metadata) == list(given[node.node_id].metadata), "order of keys")

    def test_what_was_found_can_be_changed_without_changing_the_store(self) -> None:
        """The store hands out copies, and keeps none of what it was handed."""
        with self._filled() as store:
            (node,) = store.get_nodes(node_ids=["p1-1"])
            node.metadata["nested"]["b"].append("changed")
            node.metadata["ward"] = "changed"
            (again,) = store.get_nodes(node_ids=["p1-1"])
            check(again.metadata == sample()[1].metadata, "the store's own metadata was changed")

    def test_one_id_is_one_node(self) -> None:
        """Added again, the later stands in the place of the earlier."""
        with self._filled() as store:
            node = TextNode(id_="p1-1", text="asthma", metadata={"patient_id": "p1"})
            check(store.add(embedded([node], self.model())) == ["p1-1"], "the id is returned")
            check(store.get_nodes(node_ids=["p1-1"])[0].get_content() == "asthma", "the later one")
            check(len(self._held(store)) == len(sample()), "no node more")

    def test_nodes_may_come_from_a_generator(self) -> None:
        """All of them are written, and their ids returned."""
        with self._opened() as store:
            nodes: Any = (node for node in embedded(sample(), self.model()))
            ids = store.add(nodes)
            check(ids == [node.node_id for node in sample()], "the ids in order")
            check(self._held(store) == set(ids), "all are there")
            check(store.add([]) == [], "none is none")

    def test_a_node_without_vector_is_refused(self) -> None:
        """And nothing beside it is written."""
        with self._opened() as store:
            some = [*embedded(sample()[:3], self.model()), TextNode(id_="bare", text="gout")]
            refuses(lambda: store.add(some), "a node without vector")
            check(self._held(store) == set(), "something was written")

    # -- scope ---------------------------------------------------------------------------------

    def test_a_bound_store_finds_all_of_its_patient_and_nothing_else(self) -> None:
        """In each mode, synchronous or not."""
        with self._filled() as store:
            bound = self.bind(store, "p1")
            for mode in self.modes:
                query = self._query("gout and fever of patient", mode=mode, top_k=100)
                for result in (bound.query(query), asyncio.run(bound.aquery(query))):
                    check(set(result.ids or []) == MINE, f"{mode.value}: not all, or others")
            check({node.node_id for node in bound.get_nodes()} == MINE, "get_nodes")

    def test_no_argument_widens_a_scope(self) -> None:
        """Empty or nested filters, ids of others, empty lists: nobody else's, or an error."""
        with self._filled() as store:
            bound = self.bind(store, "p1")
            for what, call in _reads(bound, self._query, self.modes):
                found = _ids_or_none(call)
                check(found <= MINE, f"{what} reaches {sorted(found - MINE)}")

    def test_no_argument_deletes_what_is_outside(self) -> None:
        """Everybody else's nodes stay, whatever a bound store is told to delete."""
        others = {node.node_id for node in sample()} - MINE
        with self._filled() as store:
            bound = self.bind(store, "p1")
            for what, call in _deletions(bound):
                _ids_or_none(call)
                check(self._held(store) >= others, f"{what} deleted somebody else's nodes")

    def test_nothing_is_deleted_by_leaving_something_out(self) -> None:
        """No selector, an empty list or an empty filter is no wish to delete everything."""
        with self._filled() as store:
            bound = self.bind(store, "p1")
            for target in (store, bound):
                _ids_or_none(target.delete_nodes)
                _ids_or_none(partial(target.delete_nodes, node_ids=[]))
                for filters in REACHING[:4]:
                    _ids_or_none(partial(target.delete_nodes, filters=filters))
                check(len(self._held(store)) == len(sample()), "something was deleted")

    def test_a_bound_store_writes_for_its_patient_only(self) -> None:
        """Nobody else's node, no node of nobody, and nobody else's id."""
        with self._filled() as store:
            bound = self.bind(store, "p1")
            for node in (
                TextNode(id_="new", text="gout", metadata={"patient_id": "p2"}),
                TextNode(id_="new", text="gout"),
                TextNode(id_="p2-1", text="gout", metadata={"patient_id": "p1"}),
            ):
                own = TextNode(id_="own", text="gout", metadata={"patient_id": "p1"})
                nodes = embedded([own, node], self.model())
                refuses(partial(bound.add, nodes), "somebody else's node")
                refuses(partial(_run, bound.async_add, nodes), "somebody else's node, async")
            check(self._held(store) == {node.node_id for node in sample()}, "some were written")
            check(store.get_nodes(node_ids=["p2-1"])[0].metadata["patient_id"] == "p2", "replaced")

    # -- filters and deletions -----------------------------------------------------------------

    def test_filters_mean_what_they_say(self) -> None:
        """In queries of each mode and in get_nodes."""
        with self._filled() as store:
            for filters, expected in self._meant():
                for mode in self.modes:
                    query = self._query("gout and patient", mode=mode, top_k=100, filters=filters)
                    check(set(store.query(query).ids or []) == expected, f"{mode} with {filters}")
                one = self._query("gout and patient", top_k=1, filters=filters)
                check(len(store.query(one).ids or []) == min(1, len(expected)), f"k, {filters}")
                found = {node.node_id for node in store.get_nodes(filters=filters)}
                check(found == expected, f"get_nodes with {filters}")

    def test_filters_delete_what_they_say(self) -> None:
        """And nothing else, one after the other."""
        with self._filled() as store:
            left = self._held(store)
            for filters, expected in reversed(self._meant()):
                store.delete_nodes(filters=filters)
                left -= expected
                check(self._held(store) == left, f"deleted by {filters}")

    def test_ids_and_documents_restrict(self) -> None:
        """Node ids, document ids and filters all must hold."""
        with self._filled() as store:
            query = self._query("gout", top_k=100, node_ids=["p1-1", "p2-1", "nobody"])
            check(set(store.query(query).ids or []) == {"p1-1", "p2-1"}, "node_ids")
            query = self._query("gout", top_k=100, doc_ids=["p1-document"])
            check(set(store.query(query).ids or []) == MINE - {"p1-4"}, "doc_ids")
            some = store.get_nodes(node_ids=["p2-1", "nobody", "p1-1"])
            check([node.node_id for node in some] == ["p2-1", "p1-1"], "get_nodes in their order")
            check(store.get_nodes(node_ids=[]) == [], "no id, no node")

    def test_deletions(self) -> None:
        """By node and by document; what is not there is no error."""
        with self._filled() as store:
            store.delete("p1-document")
            check(self._held(store) & MINE == {"p1-4"}, "the document's nodes, and no other")
            store.delete("p1-document")
            store.delete_nodes(node_ids=["p2-1", "nobody"])
            asyncio.run(store.adelete_nodes(node_ids=["p2-2"]))
            asyncio.run(store.adelete("p3-document"))
            left = {f"p2-{i}" for i in (0, 3, 4, 5)} | {"p1-4", "p3-4"}
            check(self._held(store) == left, "by id")

    def test_ids_that_are_none(self) -> None:
        """None beside texts is a mistake that is told."""
        with self._filled() as store:
            nothing: Any = None
            mixed: Any = ["p1-1", None]
            refuses(lambda: store.get_nodes(node_ids=mixed), "None as an id to get")
            refuses(lambda: store.delete_nodes(node_ids=mixed), "None as an id to delete")
            refuses(lambda: store.query(self._query("x", node_ids=mixed)), "None as an id to find")
            refuses(lambda: store.delete(nothing), "None as a document")
            check(len(self._held(store)) == len(sample()), "something was deleted")

    # -- asynchronous --------------------------------------------------------------------------

    def test_the_event_loop_stays_free(self) -> None:
        """A twin that calls its synchronous self does so in a thread.

        A store that has asynchronous methods of its own never calls it, and passes.
        """
        node = TextNode(id_="p1-9", text="gout", metadata={"patient_id": "p1"})
        calls: dict[str, Callable[[Any], Any]] = {
            "add": lambda store: store.async_add(embedded([node], self.model())),
            "query": lambda store: store.aquery(self._query("gout")),
            "get_nodes": lambda store: store.aget_nodes(node_ids=["p1-1"]),
            "delete_nodes": lambda store: store.adelete_nodes(node_ids=["p1-1"]),
            "delete": lambda store: store.adelete("p1-document"),
        }
        with self._filled() as store:
            for name, call in calls.items():
                with _waiting(type(store), name) as event:
                    run_beside(partial(call, store), event)

    def test_a_cancelled_write_is_whole_or_absent(self) -> None:
        """And the store works on."""
        with self._opened() as store:
            nodes = embedded(sample(), self.model())

            async def cancel() -> None:
                task = asyncio.create_task(store.async_add(nodes))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

            asyncio.run(cancel())
            held = self._held(store)
            check(held in (set(), {node.node_id for node in nodes}), "half of it was written")
            store.add(nodes)
            check(len(self._held(store)) == len(nodes), "written again, it is there once")

    # -- LlamaIndex on top ---------------------------------------------------------------------

    def test_an_index_on_top_finds_what_the_store_finds(self) -> None:
        """LlamaIndex's own retriever sends an empty list of node ids, which restricts nothing."""
        with self._filled() as store:
            index = VectorStoreIndex.from_vector_store(store, embed_model=self.model())
            found = index.as_retriever(similarity_top_k=4).retrieve("gout")
            expected = store.query(self._query("gout", top_k=4))
            check([node.node_id for node in found] == expected.ids, "the same nodes in order")
            check([node.score for node in found] == expected.similarities, "the same scores")
            bound = VectorStoreIndex.from_vector_store(
                self.bind(store, "p1"), embed_model=self.model()
            )
            mine = bound.as_retriever(similarity_top_k=100).retrieve("gout")
            check({node.node_id for node in mine} == MINE, "through an index on a bound store")

    def test_saved_with_its_storage_context_and_loaded_again(self) -> None:
        """The same nodes and scores; a store that cannot be saved says so."""
        with TemporaryDirectory() as name:
            folder, persisted = Path(name) / "store", Path(name) / "persisted"
            store = self.open_store(folder)
            context = StorageContext.from_defaults(vector_store=store)
            index = VectorStoreIndex(
                sample()[:5], storage_context=context, embed_model=self.model()
            )
            before = index.as_retriever(similarity_top_k=9).retrieve("gout")
            check(len(before) == 5, "not all nodes that were indexed are found")
            try:
                context.persist(str(persisted))
                saved = True
            except Exception:
                saved = False
            self.close(store)
            again = self.reopen(folder, persisted)
            check(saved == (again is not None), "saved without an error, or an error, and yet not")
            if again is None:
                return
            context = StorageContext.from_defaults(vector_store=again, persist_dir=str(persisted))
            loaded = load_index_from_storage(context, embed_model=self.model())
            after = loaded.as_retriever(similarity_top_k=9).retrieve("gout")
            self.close(again)
            check(after == before, "other nodes or scores than before")

    def test_a_pickle_works_or_is_refused(self) -> None:
        """It never comes back as a store that holds nothing."""
        with self._filled() as store:
            try:
                shipped = pickle.dumps(store)
            except Exception:
                return
            there = pickle.loads(shipped)
            check(self._held(there) == self._held(store), "the copy is another store")

    # -- tools -----------------------------------------------------------------------------------

    def _meant(self) -> list[tuple[MetadataFilters, set[str]]]:
        metadata = {node.node_id: node.metadata for node in sample()}
        return [
            (filters, {node_id for node_id, held in metadata.items() if meaning(held)})
            for filters, meaning in MEANT
        ]


@contextmanager
def _waiting(kind: type, method: str) -> Iterator[Event]:
    """The method of the class waits for an event."""
    event, own = Event(), getattr(kind, method)

    def waiting(*args: Any, **kwargs: Any) -> Any:
        wait_for(event)
        return own(*args, **kwargs)

    setattr(kind, method, waiting)
    try:
        yield event
    finally:
        setattr(kind, method, own)


def _reads(
    store: BasePydanticVectorStore, ask: Any, modes: tuple[VectorStoreQueryMode, ...]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    for ids in SELECTIONS:
        for filters in (None, *REACHING):
            what = f"node_ids={ids}, filters={filters}"
            yield f"get_nodes({what})", partial(store.get_nodes, ids, filters)
            for mode in modes:
                for name in ("node_ids", "doc_ids"):
                    query = ask("gout", mode=mode, top_k=100, filters=filters, **{name: ids})
                    yield f"query({mode}, {name} of {what})", partial(store.query, query)


def _deletions(store: BasePydanticVectorStore) -> Iterator[tuple[str, Callable[[], Any]]]:
    for ids in SELECTIONS:
        for filters in (None, *REACHING):
            what = f"delete_nodes(node_ids={ids}, filters={filters})"
            yield what, partial(store.delete_nodes, ids, filters)
    for document in ("p2-document", "p2-4", "", "None"):
        yield f"delete({document!r})", partial(store.delete, document)
    yield "clear()", store.clear


def _run(call: Callable[..., Any], *arguments: Any) -> Any:
    return asyncio.run(call(*arguments))


def _ids_or_none(call: Callable[[], Any]) -> set[str]:
    """The ids that a call gives; none if it raises."""
    try:
        result = call()
    except Exception:
        return set()
    nodes: Iterable[BaseNode] = getattr(result, "nodes", result) or []
    return {node.node_id for node in nodes} | set(getattr(result, "ids", None) or [])


def _without_vector(node: BaseNode) -> BaseNode:
    node = node.model_copy()
    node.embedding = None
    return node
