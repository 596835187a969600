"""Any LlamaIndex retriever on a benchmark: the passages as nodes, and its run."""

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import TextNode

from drehr_rag.eval.task import Task


def nodes(task: Task) -> list[TextNode]:
    """The benchmark's passages, for the retriever to index; `node_id` is the chunk's id.

    `chunk_id`, `note_id` and `patient_id` are metadata, and no part of what is embedded.
    """
    return [
        TextNode(
            id_=chunk,
            text=passage.text,
            metadata={
                "chunk_id": chunk,
                "note_id": passage.note_id,
                "patient_id": passage.patient_id or passage.note_id,
            },
            excluded_embed_metadata_keys=["chunk_id", "note_id", "patient_id"],
        )
        for chunk, passage in task.passages.items()
    ]


def run_of(retriever: BaseRetriever, task: Task) -> dict[str, dict[str, float]]:
    """Ask for every query; as deep as the retriever's own `similarity_top_k`.

    The order counts, since not every retriever scores: a chunk's score is its rank, negated.
    """
    run: dict[str, dict[str, float]] = {}
    for query_id, query in task.queries.items():
        found = [
            str(one.node.metadata.get("chunk_id") or one.node.node_id)
            for one in retriever.retrieve(query.text)
        ]
        run[query_id] = {c: -float(rank) for rank, c in enumerate(dict.fromkeys(found), 1)}
    return run
