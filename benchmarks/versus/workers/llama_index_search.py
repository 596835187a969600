"""LlamaIndex's Qdrant store, in local mode, as large as ours: how long a search takes."""

from pathlib import Path
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.known import Known, filled, milliseconds, patients

K = 10
PACKAGES = ("llama-index-core", "llama-index-vector-stores-qdrant", "qdrant-client")


class KnownEmbedding(BaseEmbedding):
    """Vectors that are known beforehand, so that no encoding is timed."""

    vectors: dict[str, list[float]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.vectors[query]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self.vectors[query]

    def _get_text_embedding(self, text: str) -> list[float]:
        raise RuntimeError("passages have their vectors already")


def search(job: Job) -> dict[str, Any]:
    """Fill the store if need be; then times by scope."""
    known = Known.of(job)
    facts = filled(job, lambda place: _fill(place, known))
    client = QdrantClient(path=str(Path(job.options["store"]) / "store"))
    store = QdrantVectorStore(client=client, collection_name="notes")
    vectors = {query: vector.tolist() for query, vector in known.queries.items()}
    index = VectorStoreIndex.from_vector_store(store, embed_model=KnownEmbedding(vectors=vectors))
    people = patients(known.size)
    pairs = [(query, people[7 * i % len(people)]) for i, query in enumerate(vectors)]

    def one(pair: tuple[str, str]) -> Any:
        only = MetadataFilters(filters=[ExactMatchFilter(key="patient_id", value=pair[1])])
        return index.as_retriever(similarity_top_k=K, filters=only).retrieve(pair[0])

    everybody = index.as_retriever(similarity_top_k=K)
    times = {
        "one patient": milliseconds(one, pairs),
        "all patients": milliseconds(lambda pair: everybody.retrieve(pair[0]), pairs),
    }
    client.close()
    return {**facts, "times": times, "seconds": facts["fill_seconds"]}


def _fill(place: Path, known: Known) -> dict[str, Any]:
    client = QdrantClient(path=str(place))
    store = QdrantVectorStore(client=client, collection_name="notes")
    for page in known.pages():
        nodes = [
            TextNode(text=text, embedding=vector, metadata=row)
            for row, text, vector in zip(page.rows, page.texts, page.vectors.tolist(), strict=True)
        ]
        store.add(nodes)
    client.close()
    return {}


if __name__ == "__main__":
    main({"search": search}, PACKAGES)
