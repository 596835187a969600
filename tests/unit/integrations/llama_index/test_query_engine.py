"""The query engine answers inside its scope, with passages as source nodes."""

import asyncio
import json

import pytest
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.tools import QueryEngineTool

from drehr_rag import AllPatients, EhrIndex, Note, Patient
from drehr_rag.errors import GeneratorError, NotAllowed, ScopeError, ScopeRequired
from drehr_rag.integrations.llama_index import EhrQueryEngine
from drehr_rag.qa.answering import NOT_IN_NOTES
from drehr_rag.types import Answer

pytestmark = pytest.mark.usefixtures("one_encoder")

SECRET = "Zebedee"
P1 = Patient("p1")
SAID = {
    "not_in_notes": False,
    "sentences": [{"text": "He has gout.", "passages": [1], "quote": "has gout"}],
}


class Says(CustomLLM):
    """Replies as it was told."""

    reply: str = json.dumps(SAID)

    @property
    def metadata(self):
        return LLMMetadata(model_name="says")

    @llm_completion_callback()
    def complete(self, prompt, formatted=False, **kwargs):
        if self.reply == "fail":
            raise RuntimeError(SECRET)
        return CompletionResponse(text=self.reply)

    @llm_completion_callback()
    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield self.complete(prompt)


@pytest.fixture(scope="module")
def index():
    notes = [
        Note(note_id="n1", patient_id="p1", text=f"{SECRET} has gout. Allopurinol 300 mg daily."),
        Note(note_id="n2", patient_id="p2", text="She has gout. Colchicine."),
    ]
    with EhrIndex.open(":memory:", encoder="offline") as made:
        made.add(notes)
        yield made


def both(engine, question):
    return engine.query(question), asyncio.run(engine.aquery(question))


def test_an_answer_with_its_passages(index):
    for response in both(EhrQueryEngine(index, Says(), scope=P1), "gout?"):
        assert str(response) == "He has gout."
        assert [node.node.ref_doc_id for node in response.source_nodes] == ["n1"]
        answer = response.metadata["answer"]
        assert isinstance(answer, Answer)
        assert [(c.note_id, c.quote) for c in answer.citations] == [("n1", "has gout")]


def test_an_abstention_says_why(index):
    engine = EhrQueryEngine(index, Says(reply='{"not_in_notes": true, "sentences": []}'), scope=P1)
    for response in both(engine, "gout?"):
        assert str(response) == NOT_IN_NOTES


def test_the_scope_is_a_ceiling(index):
    everybody = EhrQueryEngine(index, Says(), scope=AllPatients(reason="test"))
    engine = everybody.with_scope(Patient("p2"))
    for response in both(engine, "gout?"):
        assert {n.node.metadata["patient_id"] for n in response.source_nodes} == {"p2"}
    assert (engine.scope, everybody.scope) == (Patient("p2"), AllPatients(reason="test"))
    with pytest.raises(ScopeError):
        engine.with_scope(P1)
    with pytest.raises(ScopeRequired):
        EhrQueryEngine(index, scope=None)
    with pytest.raises(TypeError):
        EhrQueryEngine(index)


def test_an_llm_that_fails_is_told_without_its_words(index):
    engine = EhrQueryEngine(index, Says(reply="fail"), scope=P1)
    with pytest.raises(GeneratorError, match=r"the LLM failed \(RuntimeError\)") as caught:
        engine.query("gout")
    assert SECRET not in str(caught.value)
    with pytest.raises(GeneratorError):
        asyncio.run(engine.aquery("gout"))


def test_who_may_not_read_is_refused(index):
    engine = EhrQueryEngine(index, Says(), scope=P1, allow=lambda caller, scope: False)
    with pytest.raises(NotAllowed):
        engine.query("gout")


def test_as_a_tool_of_an_agent(index):
    tool = QueryEngineTool.from_defaults(EhrQueryEngine(index, Says(), scope=P1), name="ask_notes")
    assert tool("gout?").content == "He has gout."


def test_without_a_model_the_notes_are_quoted(index):
    engine = EhrQueryEngine(index, scope=P1)
    found = engine.query("allopurinol 300 mg daily")
    assert str(found).startswith("Allopurinol 300 mg daily.")
