"""The chat engine remembers what was said of its scope, and nothing of another."""

import asyncio

import pytest
from gout import P1, P2, answering, gout_index, rewriting
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata

from drehr_rag import AllPatients
from drehr_rag.errors import BadArgument, GeneratorError, NotAllowed, ScopeError, ScopeRequired
from drehr_rag.integrations.llama_index import EhrChatEngine
from drehr_rag.qa.answering import NOT_IN_NOTES
from drehr_rag.types import Answer

pytestmark = pytest.mark.usefixtures("one_encoder")

SAID = answering(
    ("He has gout.", "has gout"), ("He takes allopurinol.", "Allopurinol 300 mg daily")
)
NOTHING = answering()


class Says(CustomLLM):
    """Answers as it was told; a question that follows others it makes one about gout."""

    reply: str = SAID

    @property
    def metadata(self):
        return LLMMetadata(model_name="says")

    def complete(self, prompt, formatted=False, **kwargs):
        if self.reply == "fail":
            raise RuntimeError
        told = self.reply if "<passage" in prompt else rewriting("gout?")
        return CompletionResponse(text=told)

    def stream_complete(self, prompt, formatted=False, **kwargs):
        whole = self.complete(prompt).text
        for end in range(0, len(whole), 20):
            yield CompletionResponse(text=whole[: end + 20], delta=whole[end : end + 20])


@pytest.fixture(scope="module")
def index():
    with gout_index() as made:
        yield made


def engine(index, reply=None, scope=P1, **more):
    llm = Says() if reply is None else Says(reply=reply)
    return EhrChatEngine(index, llm, scope=scope, **more)


def said(chat):
    return [(message.role.value, message.content) for message in chat.chat_history]


async def heard(chat, question):
    streamed = await chat.astream_chat(question)
    return streamed, [delta async for delta in streamed.async_response_gen()]


WAYS = {
    "chat": lambda chat, question: chat.chat(question),
    "achat": lambda chat, question: asyncio.run(chat.achat(question)),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_with_its_passages(index, way):
    answered = WAYS[way](engine(index), "gout?")
    assert str(answered) == "He has gout. He takes allopurinol."
    assert [node.node.ref_doc_id for node in answered.source_nodes] == ["n1"]
    assert isinstance(answered.metadata["answer"], Answer)


def test_a_stream_gives_sentence_by_sentence(index):
    chat = engine(index)
    streamed = chat.stream_chat("gout?")
    assert list(streamed.response_gen) == ["He has gout.", " He takes allopurinol."]
    awaited, deltas = asyncio.run(heard(engine(index), "gout?"))
    assert [delta for delta in deltas if delta] == ["He has gout.", " He takes allopurinol."]
    for one in (streamed, awaited):
        assert str(one) == "He has gout. He takes allopurinol."
        assert [node.node.ref_doc_id for node in one.source_nodes] == ["n1"]
    assert said(chat) == [("user", "gout?"), ("assistant", "He has gout. He takes allopurinol.")]


def test_an_abstention_says_why(index):
    assert str(engine(index, NOTHING).chat("gout?")) == NOT_IN_NOTES
    assert list(engine(index, NOTHING).stream_chat("gout?").response_gen) == [NOT_IN_NOTES]
    assert asyncio.run(heard(engine(index, NOTHING), "gout?"))[1] == [NOT_IN_NOTES]


def test_a_question_that_follows_is_made_to_stand_alone(index):
    chat = engine(index)
    chat.chat("Has he gout?")
    chat.chat("And what for it?")
    assert [content for role, content in said(chat) if role == "user"] == ["Has he gout?", "gout?"]
    chat.reset()
    assert said(chat) == []
    chat.chat("And what for it?")
    assert said(chat)[0] == ("user", "And what for it?")


def test_a_history_from_elsewhere_is_refused(index):
    chat, other = engine(index), engine(index, scope=P2)
    chat.chat("gout?")
    chat.chat("gout?", chat_history=chat.chat_history)
    assert len(said(chat)) == 4
    for foreign in (
        [ChatMessage(role="user", content="secret")],
        [*other.chat_history, ChatMessage()],
    ):
        with pytest.raises(BadArgument, match="keeps its own history") as refused:
            chat.chat("gout?", chat_history=foreign)
        assert "secret" not in str(refused.value)
    chat.chat("gout?", chat_history=[])
    assert len(said(chat)) == 2


def test_another_scope_is_another_conversation(index):
    everybody = engine(index, scope=AllPatients(reason="test"))
    everybody.chat("gout?")
    chat = everybody.with_scope(P2)
    assert (said(chat), chat.scope) == ([], P2)
    answered = chat.chat("gout?")
    assert {node.node.metadata["patient_id"] for node in answered.source_nodes} == {"p2"}
    assert len(said(everybody)) == 2
    with pytest.raises(ScopeError):
        chat.with_scope(P1)
    with pytest.raises(ScopeRequired):
        EhrChatEngine(index, scope=None)
    with pytest.raises(BadArgument, match="turns"):
        EhrChatEngine(index, scope=P1, turns=0)


def test_what_fails_is_not_remembered(index):
    chat = engine(index, "fail")
    with pytest.raises(GeneratorError):
        chat.chat("gout?")
    with pytest.raises(NotAllowed):
        engine(index, allow=lambda caller, scope: False).stream_chat("gout?")
    assert said(chat) == []


def test_without_a_model_the_notes_are_quoted(index):
    chat = EhrChatEngine(index, scope=P1)
    found = chat.chat("allopurinol 300 mg daily")
    assert str(found).startswith("Allopurinol 300 mg daily since May.")
