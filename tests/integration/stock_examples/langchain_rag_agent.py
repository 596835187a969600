"""The agent of LangChain's RAG tutorial over its Qdrant store; whoever asks sees everybody."""

import os
from typing import Any

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_qdrant import QdrantVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from qdrant_client import QdrantClient, models

from drehr_rag import ward


class Script(GenericFakeChatModel):
    """Stands in for a model that has made up its mind already."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Script":
        """It knows them."""
        return self


def chat_model() -> BaseChatModel:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say), or else a script."""
    if "OPENAI_BASE_URL" in os.environ:
        return ChatOpenAI(model=os.environ["MODEL"], max_tokens=200)
    call = {"name": "search_notes", "args": {"query": "enoxaparin stopped"}, "id": "1"}
    answer = "It may have caused thrombocytopenia; argatroban was started instead [2]."
    return Script(messages=iter([AIMessage("", tool_calls=[call]), AIMessage(answer)]))


embeddings = DeterministicFakeEmbedding(size=64)  # a model of your own
client = QdrantClient(":memory:")
client.create_collection(
    "ward", vectors_config=models.VectorParams(size=64, distance=models.Distance.COSINE)
)
vector_store = QdrantVectorStore(client, "ward", embeddings)
splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
documents = [
    Document(note.text, metadata={"patient_id": note.patient_id, "note_id": note.note_id})
    for note in ward.notes()
]
vector_store.add_documents(splitter.split_documents(documents))


@tool(response_format="content_and_artifact")
def search_notes(query: str) -> tuple[str, list[Document]]:
    """Search the notes."""
    found = vector_store.similarity_search(query, k=3)
    return "\n\n".join(f"{one.metadata}\n{one.page_content}" for one in found), found


agent = create_agent(
    chat_model(),
    tools=[search_notes],
    system_prompt="Answer from the notes, with the numbers of the passages.",
)
question = {"messages": [{"role": "user", "content": "Why was enoxaparin stopped?"}]}
for step in agent.stream(question, stream_mode="values"):
    message = step["messages"][-1]
    print(f"{message.type}: {message.text or message.tool_calls}")
    for document in getattr(message, "artifact", None) or []:
        print("   ", document.metadata["patient_id"], document.id)
