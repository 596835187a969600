"""A LangChain agent that looks things up in one patient's notes; the model cannot choose whose."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from drehr_rag import AllPatients, EhrIndex, ward
from drehr_rag.integrations.langchain import DrEhrRetriever


class Script(GenericFakeChatModel):
    """Stands in for a model; `ChatOpenAI(base_url="http://localhost:8000/v1", …)` goes here."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Script":
        """It has made up its mind already."""
        return self


call = {"name": "search_notes", "args": {"query": "enoxaparin stopped"}, "id": "1"}
answer = "It may have caused thrombocytopenia; argatroban was started instead [2]."
model = Script(messages=iter([AIMessage("", tool_calls=[call]), AIMessage(answer)]))

with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(ward.notes())
    retriever = DrEhrRetriever(index=index, scope=AllPatients(reason="the ward's assistant"), k=3)
    agent = create_agent(
        model,
        tools=[retriever.as_tool()],
        system_prompt="Answer from the notes, with the numbers of the passages.",
    )
    question = {"messages": [{"role": "user", "content": "Why was enoxaparin stopped?"}]}
    session = {"configurable": {"patient_id": "p08"}}  # set by the application, for each request
    for step in agent.stream(question, session, stream_mode="values"):
        message = step["messages"][-1]
        print(f"{message.type}: {message.text or message.tool_calls}")
        for document in getattr(message, "artifact", None) or []:
            print("   ", document.metadata["patient_id"], document.id)
