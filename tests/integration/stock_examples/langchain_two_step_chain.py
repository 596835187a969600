"""LangChain's two-step chain over its Qdrant store; whoever asks sees everybody."""

import os
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import dynamic_prompt
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_openai import ChatOpenAI
from langchain_qdrant import QdrantVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from qdrant_client import QdrantClient, models

from drehr_rag import ward

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
pieces = splitter.split_documents(documents)
print(len(vector_store.add_documents(pieces)), "passages")


@dynamic_prompt
def with_passages(request: Any) -> str:
    question = request.state["messages"][-1].text
    found = vector_store.similarity_search(question, k=3)
    for document in found:
        print("   ", document.metadata["patient_id"], document.metadata.get("section"))
    passages = "\n\n".join(document.page_content for document in found)
    return f"Answer from these passages alone, or say that they do not tell:\n\n{passages}"


def chat_model() -> BaseChatModel:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say), or else a script."""
    if "OPENAI_BASE_URL" in os.environ:
        return ChatOpenAI(model=os.environ["MODEL"], max_tokens=200)
    return GenericFakeChatModel(messages=iter(["Apixaban, 5 mg twice a day."]))


chain = create_agent(chat_model(), tools=[], middleware=[with_passages])
question = {"messages": [{"role": "user", "content": "Which anticoagulant does he take?"}]}
for token, _ in chain.stream(question, stream_mode="messages"):
    print(token.text, end="")
print()
client.close()
