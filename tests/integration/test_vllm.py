"""Answers written by a real vLLM server: a random model, so whatever it says is invented."""

import asyncio
import json
import os
import time
from copy import deepcopy

import httpx
import pytest
from vllm_server import serving, tiny_llama

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.errors import ContextOverflow, GeneratorError, NoSuchModel
from drehr_rag.generators import load_generator
from drehr_rag.generators._chat_client import ChatClient
from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa.answering import UNSUPPORTED
from drehr_rag.qa.asking import request, schema
from drehr_rag.qa.passages import pack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    tiny_llama(folder)
    with serving(folder, log=folder / "log") as (url, _):
        yield url


@pytest.fixture(scope="module")
def index():
    with EhrIndex.open(":memory:", encoder="offline") as index:
        index.add(note for note in ward.notes() if note.patient_id == "p08")
        yield index


@pytest.fixture(autouse=True)
def short_replies(monkeypatch):
    """Each byte is a token of this model, and it never stops by itself: bound it narrowly."""

    def narrow(passages):
        made = deepcopy(dict(schema(passages)))
        sentences = made["properties"]["sentences"]
        sentences.update(minItems=1, maxItems=2)
        for name in ("text", "quote"):
            sentences["items"]["properties"][name] = {"type": "string", "pattern": "^[a-z ]{5,20}$"}
        made["properties"]["not_in_notes"] = {"type": "boolean", "enum": [False]}
        return made

    monkeypatch.setattr("drehr_rag.qa.asking.schema", narrow)


def generator(url):
    return load_generator("openai", url=url, max_tokens=4000)


def test_a_reply_that_is_cut_says_so(url, index):
    hits = index.search("heparin", scope=Patient("p08"), k=2)
    with pytest.raises(GeneratorError, match="cut its reply at 20 tokens"):
        load_generator("openai", url=url, max_tokens=20).generate(
            request("Why?", pack(hits).passages)
        )


def test_the_reply_fits_the_schema(url, index):
    hits = index.search("heparin", scope=Patient("p08"), k=2)
    reply = generator(url).generate(request("Why?", pack(hits).passages))
    sentences = json.loads(reply)["sentences"]
    assert isinstance(sentences, list)
    for sentence in sentences:
        assert set(sentence) == {"text", "passages", "quote"}


def test_nothing_invented_gets_through(url, index):
    question = "Why was enoxaparin stopped?"
    answer = index.ask(question, scope=Patient("p08"), generator=generator(url), passages=2)
    assert answer.abstained
    assert answer.sentences == ()
    assert answer.removed >= 1
    assert answer.reason == UNSUPPORTED


SECRET = "secret "
SMALL = {
    "type": "object",
    "properties": {"word": {"type": "string", "pattern": "^[a-z]{3,9}$"}},
    "required": ["word"],
    "additionalProperties": False,
}
ASKED = [{"role": "user", "content": "Why?"}]
FREE = {"extra": {"ignore_eos": True}}
"""This model ends at random, and its tokens may make no word: count them, never read them."""


def test_a_prompt_that_is_too_long_is_an_error_without_note_text(url):
    too_long = GenerationRequest(SECRET * 9000, "q", ("p",), SMALL)
    with pytest.raises(ContextOverflow, match="answered 400") as error:
        load_generator("openai", url=url).generate(too_long)
    assert "secret" not in str(error.value)


def test_a_model_that_is_not_served(url):
    hello = GenerationRequest("hello", "q", ("p",), SMALL)
    with pytest.raises(NoSuchModel, match="answered 404: it has no such model as 'nobody'"):
        load_generator("openai", url=url, model="nobody").generate(hello)


async def test_a_stream_says_what_the_whole_reply_says(url):
    async with ChatClient(url) as client:
        whole = await client.chat(ASKED, max_tokens=50, **FREE)
        pieces = [piece async for piece in client.stream(ASKED, max_tokens=50, **FREE)]
        plain = await client.complete("Why?", max_tokens=5, **FREE)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert (pieces[-1].finish, pieces[-1].tokens) == (whole.finish, whole.tokens)
    assert whole.finish == "length" and whole.tokens.completion == 50
    assert plain.tokens.completion == 5


async def test_a_streamed_reply_fits_the_schema(url, index):
    hits = index.search("heparin", scope=Patient("p08"), k=2)
    async with load_generator("openai", url=url, max_tokens=4000) as asked:
        pieces = [piece async for piece in asked.astream(request("Why?", pack(hits).passages))]
    assert set(json.loads("".join(piece.text for piece in pieces))) == {"not_in_notes", "sentences"}
    assert pieces[-1].finish == "stop" and len(pieces) > 10


@pytest.mark.parametrize("how", ["stream", "chat"])
async def test_who_leaves_stops_the_server(url, how):
    async with ChatClient(url) as client:
        if how == "stream":
            async for _ in client.stream(ASKED, max_tokens=8000, **FREE):
                break
        else:
            task = asyncio.create_task(client.chat(ASKED, max_tokens=8000, **FREE))
            assert await running(url, 1)
            task.cancel()
            await asyncio.wait([task], timeout=60)
            assert task.cancelled()
        assert await running(url, 0)
        assert (await client.chat(ASKED, max_tokens=5, **FREE)).tokens.completion == 5


async def running(url, number, seconds=60):
    """Whether the server comes to work on so many requests."""
    end = time.monotonic() + seconds
    async with httpx.AsyncClient() as client:
        while time.monotonic() < end:
            metrics = (await client.get(url.removesuffix("/v1") + "/metrics")).text
            rows = [r for r in metrics.splitlines() if r.startswith("vllm:num_requests_running")]
            if rows and sum(float(row.rsplit(" ", 1)[1]) for row in rows) == number:
                return True
            await asyncio.sleep(0.02)
    return False


def test_tokens_are_counted_by_the_servers_tokenizer(url):
    """Each byte is a token of this model, and nothing stands before or behind."""
    with load_generator("openai", url=url) as asked:
        assert [asked.count(text) for text in ("heparin", "µg", "")] == [7, 3, 0]


def test_many_at_once(url):
    requests = [GenerationRequest(f"Why {i}?", "q", ("p",), SMALL) for i in range(20)]
    with load_generator("openai", url=url, max_tokens=200) as asked:
        replies = asked.generate_many(requests)
        alone = asked.generate(requests[7])
    assert all(json.loads(reply.text)["word"].isalpha() for reply in replies)
    assert json.loads(alone)["word"].isalpha()
