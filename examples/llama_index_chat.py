"""LlamaIndex's chat engine on one patient's notes: the retriever is the only part that is ours."""

import os
from typing import Any

from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.llms import LLM, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.llms.openai_like import OpenAILike

from drehr_rag import AllPatients, EhrIndex, Patient, ward
from drehr_rag.errors import ScopeError
from drehr_rag.integrations.llama_index import DrEhrRetriever


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


with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(note for note in ward.notes() if note.patient_id in ("p01", "p08"))
    whole_ward = DrEhrRetriever(index, scope=AllPatients(reason="ward round"), similarity_top_k=2)
    retriever = whole_ward.with_scope(Patient("p08"))
    chat_engine = CondensePlusContextChatEngine.from_defaults(
        retriever=retriever,  # was index.as_retriever()
        llm=language_model(),
        memory=ChatMemoryBuffer.from_defaults(),
    )
    for message in ("Why was enoxaparin stopped?", "Which reaction to heparin was it?"):
        response = chat_engine.chat(message)
        print(message, "→", response)
        for source in response.source_nodes:
            print(f"    {source.score:.2f}", source.node.ref_doc_id, source.metadata.get("section"))
    print(len(chat_engine.chat_history), "messages in memory")
    try:
        retriever.with_scope(Patient("p01"))
    except ScopeError as refused:
        print("p01:", refused)
