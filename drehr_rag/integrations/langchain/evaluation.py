"""Any LangChain retriever on a benchmark: the passages as documents, and its run."""

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.task import Task


def documents(task: Task) -> list[Document]:
    """The benchmark's passages, for the retriever to index.

    `id` and `metadata["chunk_id"]` are the chunk's; `note_id` and `patient_id` are metadata too.
    """
    return [
        Document(
            id=chunk,
            page_content=passage.text,
            metadata={
                "chunk_id": chunk,
                "note_id": passage.note_id,
                "patient_id": passage.patient_id or passage.note_id,
            },
        )
        for chunk, passage in task.passages.items()
    ]


def run_of(retriever: BaseRetriever, task: Task) -> dict[str, dict[str, float]]:
    """Ask for every query; as deep as the retriever's own k.

    A retriever tells an order and no scores, so a chunk's score is its rank, negated.

    Raises:
        EvaluationError: A document does not tell its chunk (`metadata["chunk_id"]`, or `id`).
    """
    run: dict[str, dict[str, float]] = {}
    for query_id, query in task.queries.items():
        found = [_chunk_of(document) for document in retriever.invoke(query.text)]
        run[query_id] = {c: -float(rank) for rank, c in enumerate(dict.fromkeys(found), 1)}
    return run


def _chunk_of(document: Document) -> str:
    chunk = document.metadata.get("chunk_id") or document.id
    if not chunk:
        raise EvaluationError(
            "a document does not tell which chunk it is: index documents(task), which bear "
            'metadata["chunk_id"]'
        )
    return str(chunk)
