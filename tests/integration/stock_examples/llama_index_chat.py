"""LlamaIndex's chat engine over its Qdrant store; a filter says whose notes are searched."""

import os
from typing import Any

from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.llms import LLM, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
from llama_index.llms.openai_like import OpenAILike
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

from drehr_rag import ward


class StandIn(CustomLLM):
    """Repeats a follow-up question, and counts passages."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        _, asked, question = prompt.partition("Follow Up Input: ")
        if asked:
            return CompletionResponse(text=question.split("\n")[0])
        return CompletionResponse(text=f"I was shown {prompt.count('note_id: ')} passages.")

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        yield self.complete(prompt)


def language_model() -> LLM:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say), or else a stand-in."""
    if url := os.environ.get("OPENAI_BASE_URL"):
        return OpenAILike(os.environ["MODEL"], api_base=url, is_chat_model=True, max_tokens=200)
    return StandIn()


store = QdrantVectorStore("ward", client=QdrantClient(":memory:"))
index = VectorStoreIndex.from_documents(
    [
        Document(
            text=one.text,
            id_=one.note_id,
            metadata={"patient_id": one.patient_id, "note_id": one.note_id},
        )
        for one in ward.notes()
        if one.patient_id in ("p01", "p08")
    ],
    embed_model=MockEmbedding(64),  # a model of your own
    storage_context=StorageContext.from_defaults(vector_store=store),
)
retriever = index.as_retriever(
    similarity_top_k=2,
    filters=MetadataFilters(filters=[ExactMatchFilter(key="patient_id", value="p08")]),
)
chat_engine = CondensePlusContextChatEngine.from_defaults(
    retriever=retriever,
    llm=language_model(),
    memory=ChatMemoryBuffer.from_defaults(),
)
for message in ("Why was enoxaparin stopped?", "Which reaction to heparin was it?"):
    response = chat_engine.chat(message)
    print(message, "→", response)
    for source in response.source_nodes:
        print("   ", f"{source.score:.2f}", source.node.ref_doc_id)
print(len(chat_engine.chat_history), "messages in memory")
