"""LangChain's Qdrant store, in local mode, as large as ours: how long a search takes."""

from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.known import Known, filled, milliseconds, patients

K = 10
PACKAGES = ("langchain-core", "langchain-qdrant", "qdrant-client")


class KnownEmbeddings(Embeddings):
    """Vectors that are known beforehand, so that no encoding is timed."""

    def __init__(self, queries: dict[str, Any], dimension: int) -> None:
        """Keep the queries; passages are set page by page."""
        self._queries = queries
        self._dimension = dimension
        self.passages: list[list[float]] = []

    def embed_query(self, text: str) -> list[float]:
        """From the table."""
        return list(self._queries[text].tolist())

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The next of the page; the text that only asks for the dimension gets any vector."""
        if texts == ["dummy_text"]:
            return [[1.0] * self._dimension]
        some, self.passages = self.passages[: len(texts)], self.passages[len(texts) :]
        return some


def search(job: Job) -> dict[str, Any]:
    """Fill the store if need be; then times by scope."""
    known = Known.of(job)
    dimension = len(next(iter(known.queries.values())))
    embeddings = KnownEmbeddings(known.queries, dimension)
    facts = filled(job, lambda place: _fill(place, known, embeddings, dimension))
    client = QdrantClient(path=str(Path(job.options["store"]) / "store"))
    store = QdrantVectorStore(client=client, collection_name="notes", embedding=embeddings)
    people = patients(known.size)
    pairs = [(query, people[7 * i % len(people)]) for i, query in enumerate(known.queries)]
    times = {
        "one patient": milliseconds(
            lambda pair: store.similarity_search(pair[0], k=K, filter=_only(pair[1])), pairs
        ),
        "all patients": milliseconds(lambda pair: store.similarity_search(pair[0], k=K), pairs),
    }
    client.close()
    return {**facts, "times": times, "seconds": facts["fill_seconds"]}


def _only(patient: str) -> models.Filter:
    value = models.MatchValue(value=patient)
    return models.Filter(must=[models.FieldCondition(key="metadata.patient_id", match=value)])


def _fill(place: Path, known: Known, embeddings: KnownEmbeddings, dimension: int) -> dict[str, Any]:
    client = QdrantClient(path=str(place))
    config = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
    client.create_collection("notes", vectors_config=config)
    store = QdrantVectorStore(client=client, collection_name="notes", embedding=embeddings)
    for page in known.pages():
        embeddings.passages = page.vectors.tolist()
        store.add_texts(page.texts, page.rows)
    client.close()
    return {}


if __name__ == "__main__":
    main({"search": search}, PACKAGES)
