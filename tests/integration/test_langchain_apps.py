"""What people build with LangChain, on the ward: agents, chains, ensembles, memory."""

import asyncio

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import dynamic_prompt
from langchain_classic.chains import create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.memory import VectorStoreRetrieverMemory
from langchain_classic.retrievers import EnsembleRetriever, MultiQueryRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langgraph.checkpoint.memory import InMemorySaver

from drehr_rag import AllPatients, EhrIndex, Patient, ward
from drehr_rag.errors import ScopeError, ScopeRequired
from drehr_rag.integrations.langchain import DrEhrRetriever, DrEhrVectorStore
from drehr_rag.testing import HashEncoder

EVERYBODY = AllPatients(reason="test")
QUERY = "heart failure"


@pytest.fixture(scope="module")
def index():
    with EhrIndex.open(":memory:", encoder=HashEncoder(dimension=256, max_tokens=256)) as opened:
        opened.add(ward.notes())
        yield opened


class Script(GenericFakeChatModel):
    """Says what it is told to say, and keeps what it was asked."""

    asked: list = []  # noqa: RUF012  (pydantic copies it)

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, *args, **kwargs):
        self.asked.append(messages)
        return super()._generate(messages, *args, **kwargs)


def calls(*queries, **more):
    """A model that calls the tool with each query, then ends."""
    messages = [
        AIMessage("", tool_calls=[{"name": "search_notes", "id": str(number),
                                   "args": {"query": query, **more}}])
        for number, query in enumerate(queries)
    ]  # fmt: skip
    return Script(messages=iter([*messages, AIMessage("Done.")]))


def asked(text=QUERY):
    return {"messages": [{"role": "user", "content": text}]}


def session(patient, **more):
    return {"configurable": {"patient_id": patient, **more}}


def people(messages):
    found = [d for m in messages if m.type == "tool" and m.artifact for d in m.artifact]
    return {document.metadata["patient_id"] for document in found}


# --- agents


async def test_an_agent_searches_the_patient_of_its_session(index):
    tool = DrEhrRetriever(index=index, k=3).as_tool()
    for patient in ("p01", "p08"):
        agent = create_agent(calls(QUERY, "kidney"), [tool])
        state = agent.invoke(asked(), session(patient))
        assert people(state["messages"]) == {patient}
        assert len([m for m in state["messages"] if m.type == "tool"]) == 2
        state = await create_agent(calls(QUERY), [tool]).ainvoke(asked(), session(patient))
        assert people(state["messages"]) == {patient}


async def test_agents_at_once_keep_to_their_patients(index):
    tool = DrEhrRetriever(index=index, scope=EVERYBODY, k=3).as_tool()
    names = sorted({note.patient_id for note in ward.notes()})
    states = await asyncio.gather(
        *(create_agent(calls(QUERY), [tool]).ainvoke(asked(), session(name)) for name in names)
    )
    assert [people(state["messages"]) for state in states] == [{name} for name in names]


@pytest.mark.parametrize("more", [{"scope": "p08"}, {"patient_id": "p08"},
                                  {"config": session("p08")}])  # fmt: skip
def test_a_model_that_asks_for_another_patient_gets_nothing(index, more):
    tool = DrEhrRetriever(index=index, scope=EVERYBODY, k=3).as_tool()
    state = create_agent(calls(QUERY, **more), [tool]).invoke(asked(), session("p01"))
    answers = [m for m in state["messages"] if m.type == "tool"]
    assert [m.status for m in answers] == ["error"]
    assert not any(m.artifact for m in answers)


def test_an_application_that_forgets_the_patient_hears_of_it(index):
    tool = DrEhrRetriever(index=index).as_tool()
    with pytest.raises(ScopeRequired):
        create_agent(calls(QUERY), [tool]).invoke(asked())
    bound = DrEhrRetriever(index=index, scope=Patient("p01")).as_tool()
    with pytest.raises(ScopeError):
        create_agent(calls(QUERY), [bound]).invoke(asked(), session("p08"))


async def test_an_agent_streams(index):
    tool = DrEhrVectorStore(index).as_retriever().as_tool()
    agent = create_agent(calls(QUERY), [tool])
    steps = list(agent.stream(asked(), session("p01"), stream_mode="updates"))
    assert [next(iter(step)) for step in steps] == ["model", "tools", "model"]
    tokens = []
    talking = create_agent(Script(messages=iter(["Two words."])), [tool])
    async for token, _ in talking.astream(asked(), session("p01"), stream_mode="messages"):
        tokens.append(token.text)
    assert tokens[:3] == ["Two", " ", "words."]


def test_a_thread_s_memory_does_not_move_the_scope(index):
    tool = DrEhrRetriever(index=index, scope=EVERYBODY, k=3).as_tool()
    saver = InMemorySaver()
    first = create_agent(calls(QUERY), [tool], checkpointer=saver)
    first.invoke(asked(), session("p01", thread_id="t"))
    second = create_agent(calls(QUERY), [tool], checkpointer=saver)
    state = second.invoke(asked(), session("p08", thread_id="t"))
    latest = [m for m in state["messages"] if m.type == "tool"][-1:]
    assert people(latest) == {"p08"}


def test_lang_chain_s_own_retriever_tool_is_bound_too(index):
    retriever = DrEhrRetriever(index=index, scope=EVERYBODY, k=3)
    tool = create_retriever_tool(retriever, "search_notes", "Searches notes.",
                                 response_format="content_and_artifact")  # fmt: skip
    state = create_agent(calls(QUERY), [tool]).invoke(asked(), session("p08"))
    assert people(state["messages"]) == {"p08"}


# --- chains


def test_a_two_step_chain_by_middleware(index):
    store = DrEhrVectorStore(index, scope=EVERYBODY)
    seen = []

    @dynamic_prompt
    def with_passages(request):
        found = store.similarity_search(request.state["messages"][-1].text)
        seen.extend(document.metadata["patient_id"] for document in found)
        return "\n".join(document.page_content for document in found)

    model = Script(messages=iter(["Yes."]))
    chain = create_agent(model, [], middleware=[with_passages])
    chain.invoke(asked(), session("p08"))
    assert set(seen) == {"p08"}


PROMPT = ChatPromptTemplate.from_template("From:\n{context}\n\nAnswer: {input}")


def text_of(documents):
    return "\n".join(document.page_content for document in documents)


async def test_a_chain_of_runnables(index):
    retriever = DrEhrRetriever(index=index, k=2)
    expected = text_of(retriever.invoke(QUERY, scope=Patient("p08")))
    model = Script(messages=iter(["One two.", "One two.", "One two."]))
    chain = (
        {"context": retriever | text_of, "input": RunnablePassthrough()}
        | PROMPT
        | model
        | StrOutputParser()
    )
    assert chain.invoke(QUERY, session("p08")) == "One two."
    assert list(chain.stream(QUERY, session("p08"))) == ["One", " ", "two."]
    assert [token async for token in chain.astream(QUERY, session("p08"))] == ["One", " ", "two."]
    prompts = [messages[0].content for messages in model.asked]
    assert prompts == [f"From:\n{expected}\n\nAnswer: {QUERY}"] * 3
    events = [e["event"] async for e in retriever.astream_events(QUERY, session("p08"))]
    assert events[0] == "on_retriever_start" and events[-1] == "on_retriever_end"


def test_lang_chain_s_retrieval_chain(index):
    model = Script(messages=iter(["Yes."]))
    retriever = DrEhrVectorStore(index, scope=EVERYBODY).as_retriever(search_kwargs={"k": 2})
    chain = create_retrieval_chain(retriever, create_stuff_documents_chain(model, PROMPT))
    result = chain.invoke({"input": QUERY}, session("p08"))
    assert {d.metadata["patient_id"] for d in result["context"]} == {"p08"}
    assert result["answer"] == "Yes."


async def test_an_ensemble(index):
    dense = DrEhrRetriever(index=index, mode="dense", k=3)
    lexical = DrEhrRetriever(index=index, mode="lexical", k=3)
    both = EnsembleRetriever(retrievers=[dense, lexical], weights=[0.5, 0.5])
    found = both.invoke(QUERY, session("p08"))
    assert {d.metadata["patient_id"] for d in found} == {"p08"}
    alone = dense.invoke(QUERY, session("p08")) + lexical.invoke(QUERY, session("p08"))
    assert {d.id for d in found} == {d.id for d in alone}
    assert [d.id for d in await both.ainvoke(QUERY, session("p08"))] == [d.id for d in found]
    with pytest.raises(ScopeRequired):
        both.invoke(QUERY)


def test_several_queries_of_one_question(index):
    model = Script(messages=iter(["heart failure\nfluid overload"]))
    retriever = MultiQueryRetriever.from_llm(DrEhrRetriever(index=index, k=2), model)
    chain = RunnablePassthrough() | retriever
    found = chain.invoke("Is the heart weak?", session("p08"))
    assert {d.metadata["patient_id"] for d in found} == {"p08"}


def test_callbacks_see_the_search_inside_a_chain(index):
    class Watch(BaseCallbackHandler):
        seen = []  # noqa: RUF012

        def on_retriever_end(self, documents, *, parent_run_id=None, **kwargs):
            self.seen.append((len(documents), parent_run_id is not None))

    chain = RunnablePassthrough() | DrEhrRetriever(index=index, k=2)
    chain.invoke(QUERY, {**session("p08"), "callbacks": [Watch()]})
    assert Watch.seen == [(2, True)]


def test_chat_memory_cannot_be_written_into_a_patient_s_notes(index):
    before = index.count(scope=EVERYBODY)
    retriever = DrEhrVectorStore(index, scope=Patient("p08")).as_retriever(search_kwargs={"k": 2})
    memory = VectorStoreRetrieverMemory(retriever=retriever, return_docs=True)
    with pytest.raises(ScopeError):
        memory.save_context({"input": "My name is X."}, {"output": "Hello."})
    assert index.count(scope=EVERYBODY) == before
    remembered = memory.load_memory_variables({"input": QUERY})["history"]
    assert {d.metadata["patient_id"] for d in remembered} == {"p08"}
