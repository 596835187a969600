"""A LangChain agent that looks things up in one patient's notes; the model cannot choose whose."""

import os
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from drehr_rag import EhrIndex, ward
from drehr_rag.integrations.langchain import DrEhrRetriever


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


with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(ward.notes())
    retriever = DrEhrRetriever(index=index, k=3)  # no scope: every request must name its patient
    agent = create_agent(
        chat_model(),
        tools=[retriever.as_tool()],  # was a @tool around vector_store.similarity_search
        system_prompt="Answer from the notes, with the numbers of the passages.",
    )
    question = {"messages": [{"role": "user", "content": "Why was enoxaparin stopped?"}]}
    session = {"configurable": {"patient_id": "p08"}}  # set by the application, for each request
    for step in agent.stream(question, session, stream_mode="values"):
        message = step["messages"][-1]
        print(f"{message.type}: {message.text or message.tool_calls}")
        for document in getattr(message, "artifact", None) or []:
            print("   ", document.metadata["patient_id"], document.id)
