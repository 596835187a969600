"""A clinical chatbot in LangChain: every sentence cited, streamed, one patient a session."""

import os

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI

from drehr_rag import EhrIndex, ward
from drehr_rag.integrations.langchain import ehr_qa_chain
from drehr_rag.types import Answer


def chat_model() -> BaseChatModel | None:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say); without one the notes are quoted."""
    if "OPENAI_BASE_URL" in os.environ:
        return ChatOpenAI(model=os.environ["MODEL"], max_tokens=400)
    return None


with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(ward.notes())
    chain = ehr_qa_chain(index, chat_model(), structured=True)
    session = {"configurable": {"patient_id": "p08"}}  # set by the application, for each request
    for question in ("Why was enoxaparin stopped?", "Does the patient have glaucoma?"):
        print("?", question)
        for part in chain.stream(question, session):
            if not isinstance(part, Answer):
                cited = part.citations[0]
                print(" ", part.text, f"[{cited.note_id}:{cited.start}-{cited.end}]")
            elif part.abstained:
                print(" ", "No answer:", part.reason)
