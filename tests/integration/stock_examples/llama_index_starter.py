"""LlamaIndex's starter tutorial over its Qdrant store; a filter says whose notes are searched."""

import os

from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.llms import LLM, MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
from llama_index.llms.openai_like import OpenAILike
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from drehr_rag import ward


def language_model() -> LLM:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say), or else one that repeats its prompt."""
    if url := os.environ.get("OPENAI_BASE_URL"):
        return OpenAILike(os.environ["MODEL"], api_base=url, is_chat_model=True, max_tokens=200)
    return MockLLM()


embedding = MockEmbedding(64)  # a model of your own
store = QdrantVectorStore("ward", client=QdrantClient(":memory:"))
documents = [
    Document(text=note.text, id_=note.note_id, metadata={"patient_id": note.patient_id})
    for note in ward.notes()
]
VectorStoreIndex.from_documents(
    [document for document in documents if document.metadata["patient_id"] in ("p04", "p08")],
    transformations=[SentenceSplitter()],
    embed_model=embedding,
    storage_context=StorageContext.from_defaults(vector_store=store),
)
for patient_id in ("p04", "p08"):
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    query_engine = index.as_query_engine(
        llm=language_model(),
        similarity_top_k=3,
        filters=MetadataFilters(filters=[ExactMatchFilter(key="patient_id", value=patient_id)]),
    )
    response = query_engine.query("Why was the anticoagulant changed?")
    print(patient_id, "→", str(response)[:200])
    for source in response.source_nodes:
        place = source.node.ref_doc_id, source.node.start_char_idx, source.node.end_char_idx
        print("   ", f"{source.score:.2f}", *place)
