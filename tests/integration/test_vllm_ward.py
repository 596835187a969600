"""Questions about the ward, answered by a real vLLM server whose model knows them by heart.

So whatever goes wrong on the way from a question to its citations is seen here, and what a server
can do wrong at the end of it.
"""

import asyncio
import json
import os
import signal
from dataclasses import replace
from itertools import islice

import psutil
import pytest
from vllm_server import serving
from ward_llama import overfitted

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.errors import (
    ContextOverflow,
    GeneratorTimeout,
    GeneratorUnavailable,
    KeyRefused,
    ReplyUnusable,
)
from drehr_rag.generators import load_generator
from drehr_rag.generators._chat_client import ChatClient
from drehr_rag.qa import Settings
from drehr_rag.qa.conversation import Conversation
from drehr_rag.types import Answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]

KEY = "the-right-key"
TAUGHT = 5
"""Answerable questions that the model learns; one that the notes do not answer comes on top."""
SETTINGS = Settings(passages=3)
AGAIN = "And why, once more?"
"""Follows the first question; the model has learnt to make that question of it."""


class Listening:
    """Keeps what a generator is asked; the notes do not tell, it says."""

    def __init__(self):
        self.requests = []

    def generate(self, request):
        self.requests.append(request)
        return '{"not_in_notes": true, "sentences": []}'


@pytest.fixture(scope="module")
def index():
    with EhrIndex.open(":memory:", encoder="offline") as index:
        index.add(ward.notes())
        yield index


@pytest.fixture(scope="module")
def taught(index):
    """Question → patient and quote, where a passage holds the evidence; None where none does."""
    known = {}
    for row in ward.questions("dev"):
        scope, listening = Patient(row["patient_id"]), Listening()
        index.qa_chain(listening, settings=SETTINGS).ask(row["question"], scope=scope)
        (request,) = listening.requests
        places = [
            (number, piece["quote"])
            for number, text in enumerate(request.passages, 1)
            for piece in row["evidence"]
            if piece["quote"] in text and len(piece["quote"]) < 200
        ]
        if places or not row["evidence"]:
            known[row["question"]] = (scope, request, places[:1], row)
    answerable = {q: known[q] for q in islice((q for q in known if known[q][2]), TAUGHT)}
    absent = next(q for q in known if not known[q][3]["evidence"])
    return {**answerable, absent: known[absent]}


def reply_of(places):
    sentences = [{"text": f"Noted: {q}", "passages": [n], "quote": q} for n, q in places]
    return {"not_in_notes": not places, "sentences": sentences}


@pytest.fixture(scope="module")
def first(taught):
    """The first question that it can answer, whose notes, and what it was taught to quote."""
    question, (scope, _, places, _) = next(iter(taught.items()))
    return question, scope, places[0][1]


@pytest.fixture(scope="module")
def server(index, taught, first, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ward_llama")
    asked = {request.prompt: reply_of(places) for _, request, places, _ in taught.values()}
    question, scope, quote = first
    listening = Listening()
    talk = Conversation(index.qa_chain(Quoting(quote)), scope=scope, generator=listening)
    talk.ask(question)
    talk.ask(AGAIN)
    asked[listening.requests[-1].prompt] = {"question": question}
    overfitted(folder, asked)
    with serving(folder, "--api-key", KEY, max_len=4096, log=folder / "log") as started:
        yield started


class Quoting:
    """Says what the model was taught to say."""

    def __init__(self, quote):
        self.quote = quote

    def generate(self, request):
        places = [
            (n, self.quote) for n, text in enumerate(request.passages, 1) if self.quote in text
        ]
        return json.dumps(reply_of(places[:1]))


@pytest.fixture
def generator(server):
    with load_generator("openai", url=server[0], api_key=KEY, max_tokens=400) as generator:
        yield generator


@pytest.fixture
def chain(index, generator):
    return index.qa_chain(generator, settings=SETTINGS)


def holds(answer, places, notes):
    """The answer says what was learnt, and its citation is those very words of the note."""
    if not places:
        return answer.abstained and not answer.sentences
    (citation,) = answer.citations
    quote = places[0][1]
    said = notes[citation.note_id][citation.start : citation.end]
    return answer.text == f"Noted: {quote}" and said == quote and not answer.abstained


@pytest.fixture(scope="module")
def notes():
    return {note.note_id: note.text for note in ward.notes()}


def test_each_question_is_answered_with_its_citation(chain, taught, notes):
    for question, (scope, _, places, row) in taught.items():
        answer = chain.ask(question, scope=scope)
        assert holds(answer, places, notes), question
        if places:
            (citation,) = answer.citations
            spans = [p for p in row["evidence"] if p["note_id"] == citation.note_id]
            assert any(p["start"] <= citation.start < p["end"] for p in spans)
            assert answer.tokens["prompt"] > 100 and answer.tokens["completion"] > 10


async def test_a_stream_gives_the_same_sentences(index, server, taught, notes):
    async with load_generator("openai", url=server[0], api_key=KEY, max_tokens=400) as generator:
        chain = index.qa_chain(generator, settings=SETTINGS)
        for question, (scope, _, places, _) in islice(taught.items(), 3):
            parts = [part async for part in chain.astream(question, scope=scope)]
            assert isinstance(parts[-1], Answer)
            assert parts[:-1] == list(parts[-1].sentences)
            assert holds(parts[-1], places, notes)


async def test_64_questions_at_once(index, server, taught, notes):
    url = server[0]
    async with load_generator("openai", url=url, api_key=KEY, max_tokens=400) as generator:
        chain = index.qa_chain(generator, settings=SETTINGS)
        asked = [(q, *taught[q][:3:2]) for q in taught] * 11
        answers = await asyncio.gather(*(chain.aask(q, scope=s) for q, s, _ in asked[:64]))
    assert len(answers) == 64
    for answer, (question, _, places) in zip(answers, asked, strict=False):
        assert holds(answer, places, notes), question
    assert connections(url) == 0


def connections(url):
    """Of this process to the server."""
    port = int(url.removesuffix("/v1").rsplit(":", 1)[1])
    mine = psutil.Process().net_connections("tcp")
    return sum(c.raddr.port == port and c.status == "ESTABLISHED" for c in mine if c.raddr)


def test_a_question_that_follows_another(index, chain, generator, first):
    question, scope, quote = first
    talk = Conversation(chain, scope=scope, generator=generator)
    assert talk.ask(question).text == f"Noted: {quote}"
    again = talk.ask(AGAIN)
    assert (again.question, again.text) == (question, f"Noted: {quote}")


def test_many_from_a_list(chain, first):
    question, scope, quote = first
    answers = chain.ask_many([question] * 5, scope=scope)
    assert [answer.text for answer in answers] == [f"Noted: {quote}"] * 5


def test_a_wrong_key(index, server, first):
    question, scope, _ = first
    with (
        load_generator("openai", url=server[0], model="tiny", api_key="wrong") as generator,
        pytest.raises(KeyRefused),
    ):
        index.qa_chain(generator).ask(question, scope=scope)


def test_passages_longer_than_the_model_reads(index, generator, taught):
    request = next(iter(taught.values()))[1]
    long = replace(request, prompt=request.prompt * 12)
    with pytest.raises(ContextOverflow):
        generator.generate(long)


async def test_prose_is_no_answer(index, server, first, monkeypatch):
    question, scope, _ = first
    sent = ChatClient.chat

    async def without(self, messages, *, schema=None, **options):
        return await sent(self, [{"role": "user", "content": "Tell a story."}], **options)

    monkeypatch.setattr(ChatClient, "chat", without)
    async with load_generator("openai", url=server[0], api_key=KEY, max_tokens=40) as generator:
        with pytest.raises(ReplyUnusable):
            await index.qa_chain(generator).aask(question, scope=scope)


def test_a_server_that_takes_too_long(index, server, first):
    question, scope, _ = first
    with (
        load_generator(
            "openai", url=server[0], api_key=KEY, model="tiny", timeout=0.05, retries=0
        ) as generator,
        pytest.raises(GeneratorTimeout),
    ):
        index.qa_chain(generator, settings=SETTINGS).ask(question, scope=scope)


async def test_a_server_killed_in_the_middle_of_a_stream(index, server, first):
    """The last: there is no server after it."""
    question, scope, _ = first
    url, process = server
    endless = {"extra": {"ignore_eos": True}, "max_tokens": 3000}
    async with ChatClient(url, api_key=KEY, model="tiny", retries=0, timeout=30) as client:
        pieces = client.stream([{"role": "user", "content": "Tell a story."}], **endless)
        await anext(pieces)
        os.killpg(process.pid, signal.SIGKILL)
        with pytest.raises(GeneratorUnavailable):
            async for _ in pieces:
                pass
    async with load_generator(
        "openai", url=url, api_key=KEY, model="tiny", retries=0, timeout=30
    ) as generator:
        chain = index.qa_chain(generator, settings=SETTINGS)
        with pytest.raises(GeneratorUnavailable):
            await chain.aask(question, scope=scope)
        with pytest.raises(GeneratorUnavailable):
            async for _ in chain.astream(question, scope=scope):
                pass
    assert connections(url) == 0
