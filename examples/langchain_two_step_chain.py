"""LangChain's two-step chain, one search and one answer, over documents that LangChain split."""

import os
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import dynamic_prompt
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_openai import ChatOpenAI

from drehr_rag import AllPatients, ward
from drehr_rag.integrations.langchain import DrEhrEmbeddings, DrEhrTextSplitter, DrEhrVectorStore

embeddings = DrEhrEmbeddings(model="offline")  # was HuggingFaceEmbeddings(model_name=…)
# was QdrantVectorStore(client, "ward", embeddings)
vector_store = DrEhrVectorStore.open(":memory:", embedding=embeddings)
splitter = DrEhrTextSplitter(embeddings)  # was RecursiveCharacterTextSplitter(…)

documents = [
    Document(note.text, metadata={"patient_id": note.patient_id, "note_id": note.note_id})
    for note in ward.notes()
]
everybody = AllPatients(reason="indexing the ward")
pieces = splitter.split_documents(documents)
print(len(vector_store.add_documents(pieces, scope=everybody)), "passages")


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
session = {"configurable": {"patient_id": "p01"}}  # set by the application, for each request
for token, _ in chain.stream(question, session, stream_mode="messages"):
    print(token.text, end="")
print()
vector_store.index.close()
