"""Tokens of a passage by the server's own tokenizer, and the estimate where it does not say."""

import json
from threading import Event

import pytest
from chat_server import chat_server

from drehr_rag import Patient
from drehr_rag.generators import load_generator
from drehr_rag.generators.openai import COUNTED
from drehr_rag.protocols import CountingGenerator
from drehr_rag.qa import QaChain, Settings
from drehr_rag.qa.counting import counter
from drehr_rag.qa.passages import estimate
from drehr_rag.types import Chunk, Hit

NOTHING = json.dumps({"not_in_notes": True, "sentences": []})

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server():
    with chat_server(lambda prompt, number: NOTHING) as server:
        server.tokenize = lambda text: len(text.split())
        yield server


def hits(number, words=20):
    """Passages that share no run of words and touch nowhere."""
    texts = [" ".join(chr(97 + n) * 3 + chr(97 + m) for m in range(words)) for n in range(number)]
    return [
        Hit(Chunk(f"c{n}", f"n{n}", "p", 0, len(text), text, text), 1.0)
        for n, text in enumerate(texts)
    ]


def test_a_text_is_asked_for_once(server):
    with load_generator("openai", url=server.url) as generator:
        assert isinstance(generator, CountingGenerator)
        counts = [generator.count(text) for text in ("one two three", "one", "one two three")]
    assert counts == [3, 1, 3]
    assert server.tokenized == ["one two three", "one"]


@pytest.mark.parametrize("said", [404, 500, b"", b"[]", b'{"count": null}', b'{"count": -1}'])
def test_a_server_that_does_not_say_is_not_asked_again(server, said):
    server.tokenize = lambda text: said
    with load_generator("openai", url=server.url) as generator:
        assert [generator.count("one"), generator.count("two")] == [None, None]
        assert counter(generator, hits(9), 1)("abcd") == estimate("abcd")
    assert server.tokenized == ["one"]


def test_a_server_that_is_away():
    with load_generator("openai", url="http://127.0.0.1:9/v1", model="m") as generator:
        assert generator.count("one") is None


def test_waiting_for_it_is_bounded(server, monkeypatch):
    monkeypatch.setattr("drehr_rag.generators._chat_client.COUNTING", 0.2)
    done = Event()
    server.tokenize = lambda text: done.wait(20) or 1
    with load_generator("openai", url=server.url, model="m") as generator:
        assert generator.count("one") is None
    done.set()


def test_the_memory_of_counts_is_bounded(server):
    with load_generator("openai", url=server.url) as generator:
        generator._counted.update({bytes([n % 256, n >> 8]): 1 for n in range(COUNTED)})
        generator.count("one")
        assert len(generator._counted) == 1


def asked(server, budget, **more):
    chain = QaChain(
        lambda queries, **_: [hits(8) for _ in queries],
        load_generator("openai", url=server.url),
        settings=Settings(budget=budget, **more),
    )
    return chain.ask("why?", scope=Patient("p"))


def test_the_budget_is_of_the_servers_tokens(server):
    answer = asked(server, 100)
    assert (len(answer.trace.passages), answer.trace.over) == (5, 3)  # of 20 tokens each
    assert len(server.tokenized) == 8
    own = asked(server, 100, count=lambda text: 50)
    assert len(own.trace.passages) == 2
    assert len(server.tokenized) == 8


def test_where_everything_fits_by_far_nobody_is_asked(server):
    assert len(asked(server, 6_000).trace.passages) == 8
    assert server.tokenized == []
