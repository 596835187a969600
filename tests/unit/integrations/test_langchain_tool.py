"""The tool: the model chooses the query, the application whose notes are searched."""

import pytest
from framework_notes import few_notes
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from pydantic import ValidationError

from drehr_rag import AllPatients, EhrIndex, Patient
from drehr_rag.errors import BadArgument, ScopeError, ScopeRequired, TracingRefused
from drehr_rag.integrations.langchain import DrEhrRetriever, DrEhrVectorStore
from drehr_rag.integrations.langchain.tool import NOTHING
from drehr_rag.testing import HashEncoder

EVERYBODY = AllPatients(reason="test")


def made(scope=EVERYBODY, **fields):
    index = EhrIndex.open(":memory:", encoder=HashEncoder(dimension=64))
    index.add(few_notes())
    return DrEhrRetriever(index=index, scope=scope, **fields)


class Suite:
    @property
    def tool_constructor(self):
        return made().as_tool()

    @property
    def tool_invoke_params_example(self):
        return {"query": "heart failure"}


class TestUnit(Suite, ToolsUnitTests):
    pass


class TestIntegration(Suite, ToolsIntegrationTests):
    pass


class TestOfAStore(Suite, ToolsIntegrationTests):
    @property
    def tool_constructor(self):
        return DrEhrVectorStore(made().index, scope=EVERYBODY).as_retriever().as_tool()


class TestOnEdge(Suite, ToolsIntegrationTests):
    """On an index in a folder, by the retriever and by the store's."""

    @pytest.fixture(autouse=True, params=["retriever", "store"])
    def opened(self, request, tmp_path):
        with EhrIndex.open(tmp_path / "a.idx", encoder=HashEncoder(dimension=64)) as index:
            index.add(few_notes())
            store = DrEhrVectorStore(index, scope=EVERYBODY)
            ours = DrEhrRetriever(index=index, scope=EVERYBODY)
            self.retriever = ours if request.param == "retriever" else store.as_retriever()
            assert any((tmp_path / "a.idx").iterdir())
            yield

    @property
    def tool_constructor(self):
        return self.retriever.as_tool()


def called(**arguments):
    return {"type": "tool_call", "name": "search_notes", "id": "1", "args": arguments}


def people(message):
    return {document.metadata["patient_id"] for document in message.artifact}


async def test_content_and_artifact():
    retriever = made(Patient("p2"), k=1, mode="lexical")
    tool = retriever.as_tool()
    message = tool.invoke(called(query="stroke"))
    document = retriever.invoke("stroke")[0]
    assert message.artifact == [document]
    assert message.content == (
        "[1] Progress note, 2180-03-01, family history, note n3\nFAMILY HISTORY:\nStroke."
    )
    assert (await tool.ainvoke(called(query="stroke"))).content == message.content
    assert tool.invoke(called(query="xylophone")).content == NOTHING
    assert tool.invoke(called(query="xylophone")).artifact == []


def test_the_patient_is_named_only_where_there_are_several():
    assert "patient p" not in made(Patient("p1")).as_tool().invoke({"query": "heart failure"})
    several = made().as_tool().invoke({"query": "heart failure"})
    assert "patient p1" in several and "patient p2" in several


def test_the_model_is_offered_the_query_and_nothing_else():
    tool = made().as_tool(name="notes", description="Look here.")
    assert (tool.name, tool.description) == ("notes", "Look here.")
    assert list(tool.args) == ["query"]
    assert list(tool.tool_call_schema.model_json_schema()["properties"]) == ["query"]
    with pytest.raises(BadArgument, match="nothing else"):
        made().as_tool(type("More", (), {}))
    with pytest.raises(BadArgument, match="nothing else"):
        made().as_tool(arg_types={"patient_id": str})


@pytest.mark.parametrize(
    "more",
    [
        {"scope": "p2"},
        {"patient_id": "p2"},
        {"k": 100},
        {"config": {"configurable": {"patient_id": "p2"}}},
        {"configurable": {"patient_id": "p2"}},
        {"run_manager": None},
    ],
)
async def test_whatever_else_the_model_says_is_refused(more):
    for scope in (Patient("p1"), EVERYBODY):
        tool = made(scope).as_tool()
        with pytest.raises(ValidationError, match="Extra inputs"):
            tool.invoke(called(query="stroke", **more))
        with pytest.raises(ValidationError, match="Extra inputs"):
            await tool.ainvoke(called(query="stroke", **more))


@pytest.mark.parametrize("query", ["", "  ", "?!"])
async def test_a_query_without_words_is_told_to_the_model(query):
    tool = made().as_tool()
    message = tool.invoke(called(query=query))
    assert message.status == "error" and "query" in message.content
    assert (await tool.ainvoke(called(query=query))).status == "error"


async def test_the_application_s_config_narrows_and_never_widens():
    config = {"configurable": {"patient_id": "p2"}}
    for tool in (made().as_tool(), made(scope=None).as_tool()):
        assert people(tool.invoke(called(query="heart failure"), config)) == {"p2"}
        assert people(await tool.ainvoke(called(query="heart failure"), config)) == {"p2"}
    bound = made(Patient("p1")).as_tool()
    with pytest.raises(ScopeError):
        bound.invoke(called(query="heart failure"), config)
    with pytest.raises(ScopeRequired):  # the application's mistake is not the model's to mend
        made(scope=None).as_tool().invoke(called(query="heart failure"))


async def test_tracing_is_refused(monkeypatch):
    tool = made().as_tool()
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    with pytest.raises(TracingRefused):
        made().as_tool()
    with pytest.raises(TracingRefused):
        tool.func("stroke", {})
    with pytest.raises(TracingRefused):
        await tool.coroutine("stroke", {})
    assert made(allow_tracing=True).as_tool().name == "search_notes"
