"""The chain as a Runnable: scoped by constructor, config and call, whatever model answers."""

import asyncio
import json

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from drehr_rag import AllPatients, EhrIndex, Note, Patient
from drehr_rag.errors import (
    BadArgument,
    GeneratorError,
    NotAllowed,
    ScopeError,
    ScopeRequired,
    TracingRefused,
    UnknownName,
)
from drehr_rag.integrations.langchain import ehr_qa_chain
from drehr_rag.types import Answer, AnswerSentence

pytestmark = pytest.mark.usefixtures("one_encoder")

SECRET = "Zebedee"
P1, P2 = Patient("p1"), Patient("p2")
SAID = json.dumps(
    {
        "not_in_notes": False,
        "sentences": [{"text": "He has gout.", "passages": [1], "quote": "has gout"}],
    }
)


@pytest.fixture(scope="module")
def index():
    notes = [
        Note(note_id="n1", patient_id="p1", text=f"{SECRET} has gout. Allopurinol 300 mg daily."),
        Note(note_id="n2", patient_id="p2", text="She has gout. Colchicine."),
    ]
    with EhrIndex.open(":memory:", encoder="offline") as made:
        made.add(notes)
        yield made


def model(*replies):
    def messages():
        yield from (AIMessage(reply) for reply in replies)
        while True:
            yield AIMessage(SAID)

    return GenericFakeChatModel(messages=messages())


def ways(chain, *given, **more):
    """Every way to ask, to its answer."""

    async def last():
        return [part async for part in chain.astream(*given, **more)][-1]

    yield lambda: chain.invoke(*given, **more)
    yield lambda: asyncio.run(chain.ainvoke(*given, **more))
    yield lambda: list(chain.stream(*given, **more))[-1]
    first, *rest = given
    yield lambda: chain.batch([first], *rest, **more)[0]
    yield lambda: asyncio.run(chain.abatch([first], *rest, **more))[0]
    yield lambda: asyncio.run(last())


def test_every_way_gives_the_cited_answer(index):
    chain = ehr_qa_chain(index, model(), scope=P1)
    for ask in ways(chain, "gout?"):
        answer = ask()
        assert isinstance(answer, Answer)
        assert [(c.patient_id, c.quote) for c in answer.citations] == [("p1", "has gout")]
    assert chain.invoke({"question": "gout?"}).question == "gout?"
    sentence, answer = chain.stream("gout?")
    assert isinstance(sentence, AnswerSentence)
    assert answer.sentences == (sentence,)


@pytest.mark.parametrize("whose", ["config", "call", "constructor"])
def test_a_scope_from_anywhere(index, whose):
    chain = ehr_qa_chain(index, model(), scope=P2 if whose == "constructor" else None)
    config = {"configurable": {"patient_id": "p2"}} if whose == "config" else None
    more = {"scope": P2} if whose == "call" else {}
    for ask in ways(chain, "gout?", config, **more):
        assert {c.patient_id for c in ask().citations} == {"p2"}


def test_a_batch_has_a_scope_for_each(index):
    chain = ehr_qa_chain(index, model())
    configs = [{"configurable": {"patient_id": name}} for name in ("p2", "p1", "p2")]
    questions = ["gout?", {"question": "and gout?"}, "gout again?"]
    for found in (chain.batch(questions, configs), asyncio.run(chain.abatch(questions, configs))):
        assert [one.question for one in found] == ["gout?", "and gout?", "gout again?"]
        assert [one.citations[0].patient_id for one in found] == ["p2", "p1", "p2"]
    assert chain.batch([]) == []


@pytest.mark.parametrize("limit", [None, 1])
def test_in_a_batch_errors_stand_where_they_are_wanted(index, limit):
    chain = ehr_qa_chain(index, model(), scope=P1, allow=lambda caller, scope: scope == P1)
    config = {"max_concurrency": limit} if limit else {}
    configs = [config, {**config, "configurable": {"patient_id": "p2"}}]
    asked = {"inputs": ["gout?", "gout?"], "config": configs, "return_exceptions": True}
    for answer, problem in (chain.batch(**asked), asyncio.run(chain.abatch(**asked))):
        assert isinstance(answer, Answer) and isinstance(problem, ScopeError)
    with pytest.raises(ScopeError):
        chain.batch(["gout?", "gout?"], configs)


def test_a_model_that_fails_once_in_a_batch(index):
    answer = ehr_qa_chain(index, model("nonsense"), scope=P1)
    with pytest.raises(GeneratorError):
        answer.batch(["gout?", "gout?"])


def test_without_a_scope_nobody_is_asked(index):
    for ask in ways(ehr_qa_chain(index, model()), "gout?"):
        with pytest.raises(ScopeRequired):
            ask()


def test_a_call_narrows_and_never_widens(index):
    chain = ehr_qa_chain(index, model(), scope=P1)
    other = {"configurable": {"patient_id": "p2"}}
    for ask in (*ways(chain, "gout?", other), *ways(chain, "gout?", scope=AllPatients(reason="r"))):
        with pytest.raises(ScopeError):
            ask()
    with pytest.raises(UnknownName):
        chain.invoke("gout?", {"configurable": {"patientId": "p1"}})


def test_in_a_sequence_the_config_of_the_whole_counts(index):
    whole = RunnableLambda(lambda words: f"{words}?") | ehr_qa_chain(index, model())
    answer = whole.invoke("gout", {"configurable": {"patient_id": "p2"}})
    assert {c.patient_id for c in answer.citations} == {"p2"}
    with pytest.raises(ScopeRequired):
        whole.invoke("gout")


def test_a_model_that_fails_is_told_without_its_words(index):
    def broken():
        raise RuntimeError(SECRET)
        yield

    for ask in ways(ehr_qa_chain(index, GenericFakeChatModel(messages=broken()), scope=P1), "gout"):
        with pytest.raises(GeneratorError, match=r"the chat model failed \(\w+\)") as caught:
            ask()
        assert SECRET not in str(caught.value)
    with pytest.raises(GeneratorError, match="does not fit"):
        ehr_qa_chain(index, model(SECRET), scope=P1).invoke("gout")


def test_without_a_model_the_notes_are_quoted(index):
    answer = ehr_qa_chain(index, scope=P1).invoke("allopurinol 300 mg daily")
    assert answer.sentences[0].text == "Allopurinol 300 mg daily."


def test_callbacks_see_the_run(index):
    from langchain_core.callbacks import BaseCallbackHandler

    class Seen(BaseCallbackHandler):
        def __init__(self):
            self.names = []

        def on_chain_start(self, serialized, inputs, **kwargs):
            self.names.append(kwargs.get("name"))

    seen = Seen()
    ehr_qa_chain(index, model(), scope=P1).invoke("gout?", {"callbacks": [seen]})
    assert seen.names == ["EhrQaChain"]


def test_refusals(index, monkeypatch):
    chain = ehr_qa_chain(index, model(), scope=P1, allow=lambda caller, scope: False)
    for ask in ways(chain, "gout?"):
        with pytest.raises(NotAllowed):
            ask()
    for wrong in (3, {"query": "gout"}, {"question": 3}, None):
        with pytest.raises(BadArgument, match="ask with a text"):
            ehr_qa_chain(index, scope=P1).invoke(wrong)
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    for ask in ways(ehr_qa_chain(index, model(), scope=P1), "gout?"):
        with pytest.raises(TracingRefused):
            ask()
    allowed = ehr_qa_chain(index, scope=P1, allow_tracing=True)
    monkeypatch.delenv("LANGSMITH_TRACING")
    assert allowed.invoke("gout").question == "gout"
