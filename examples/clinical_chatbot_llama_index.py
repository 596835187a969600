"""A clinical chatbot in LlamaIndex: a query engine whose every sentence is cited."""

import os

from llama_index.core.llms import LLM
from llama_index.llms.openai_like import OpenAILike

from drehr_rag import AllPatients, EhrIndex, Patient, ward
from drehr_rag.integrations.llama_index import EhrQueryEngine


def llm() -> LLM | None:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say); without one the notes are quoted."""
    if "OPENAI_BASE_URL" not in os.environ:
        return None
    return OpenAILike(
        model=os.environ["MODEL"],
        api_base=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
        is_chat_model=True,
        max_tokens=400,
    )


with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(ward.notes())
    everybody = EhrQueryEngine(index, llm(), scope=AllPatients(reason="chatbot"))
    engine = everybody.with_scope(Patient("p08"))  # by the application, for each session
    for question in ("Why was enoxaparin stopped?", "Does the patient have glaucoma?"):
        response = engine.query(question)
        print("?", question)
        print(" ", response)
        for citation in response.metadata["answer"].citations:
            print("   ", citation.note_id, citation.section, f"“{citation.quote}”")
