"""The ways into the generator: threads, event loops, forks, many at once, piece by piece."""

import asyncio
import gc
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from chat_server import USAGE, Refused, Steps, chat_server

from drehr_rag.errors import BadArgument, GeneratorError, GeneratorTimeout, ReplyUnusable
from drehr_rag.generators import load_generator
from drehr_rag.protocols import (
    GenerationRequest,
    Generator,
    Piece,
    Reply,
    StreamingGenerator,
    TokenCounts,
)

TOKENS = TokenCounts(USAGE["prompt_tokens"], USAGE["completion_tokens"])
CUT = {"message": {"content": "half"}, "finish_reason": "length"}

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _loopback(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("drehr_rag.generators._chat_client.pause", lambda *_: 0.0)


@pytest.fixture(autouse=True)
def no_thread_before():
    gc.collect()
    assert until(lambda: not threads())


def request(prompt="p"):
    return GenerationRequest(prompt, "q", (), {"type": "object"})


def echo(prompt, _):
    return f"on {prompt}"


def threads():
    return [one for one in threading.enumerate() if "portal" in one.name]


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_it_is_a_generator_that_streams():
    generator = load_generator("openai", url="http://127.0.0.1:1")
    assert isinstance(generator, Generator) and isinstance(generator, StreamingGenerator)
    assert not isinstance(
        load_generator("extractive", encoder=None, split=None), StreamingGenerator
    )


def test_what_decides_on_the_reply_is_sent():
    with chat_server(echo) as server:
        options = {"temperature": 0.5, "seed": None, "max_tokens": 3, "model": "m"}
        with load_generator("openai", url=server.url, **options) as generator:
            assert generator.generate(request()) == "on p"
            assert generator.tokens == {"prompt": 100, "completion": 7}
    [body] = server.bodies
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.5, 3, "m")
    assert "seed" not in body


@pytest.mark.parametrize(
    "option", [{"temperature": -1}, {"max_tokens": 0}, {"retries": None}, {"timeout": 0}]
)
def test_numbers_that_are_none(option):
    with pytest.raises(BadArgument, match=next(iter(option))):
        load_generator("openai", url="http://127.0.0.1:1", **option)


def test_retries_and_the_time_they_take():
    with chat_server(lambda *_: Steps(60)) as server:
        generator = load_generator("openai", url=server.url, timeout=0.2, retries=1)
        with generator, pytest.raises(GeneratorTimeout, match=r"answer within 0\.2 s"):
            generator.generate(request())
        assert len(server.prompts) == 2


def test_many_at_once_in_their_order():
    faults = {"p3": 400, "p5": CUT, "p7": Refused(401)}
    with chat_server(lambda prompt, _: faults.get(prompt) or echo(prompt, 0)) as server:
        generator = load_generator("openai", url=server.url, concurrency=4)
        found = generator.generate_many([request(f"p{i}") for i in range(40)])
        assert generator.generate_many([]) == []
        generator.close()
    for i, one in enumerate(found):
        if f"p{i}" in faults:
            assert isinstance(one, GeneratorError)
        else:
            assert one == Reply(f"on p{i}", None, TOKENS, "tiny-chat")
    assert isinstance(found[5], ReplyUnusable) and "cut its reply" in str(found[5])


def test_many_of_a_server_that_is_gone_are_as_many_errors():
    with chat_server(echo) as server:
        url = server.url
    with load_generator("openai", url=url) as generator:
        found = generator.generate_many([request()] * 20)
    assert [type(one).__name__ for one in found] == ["GeneratorUnavailable"] * 20


def test_from_many_threads_at_once():
    with chat_server(echo) as server, load_generator("openai", url=server.url) as generator:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda i: generator.generate(request(f"p{i}")), range(64)))
        assert found == [f"on p{i}" for i in range(64)]
        assert server.asked_models == 1 and len(threads()) == 1


async def test_inside_a_running_event_loop():
    with chat_server(echo) as server, load_generator("openai", url=server.url) as generator:
        assert generator.generate(request()) == "on p"
        assert generator.model == "tiny-chat"


async def test_awaited_and_listened_to():
    with chat_server(echo) as server:
        async with load_generator("openai", url=server.url) as generator:
            replies = await asyncio.gather(*(generator.agenerate(request(f"p{i}")) for i in "ab"))
            assert replies == [Reply(f"on p{i}", None, TOKENS, "tiny-chat") for i in "ab"]
            pieces = [piece async for piece in generator.astream(request())]
            assert pieces == [Piece("on "), Piece("p"), Piece("", "stop", TOKENS)]
            assert "response_format" in server.bodies[-1]
            server.say = lambda *_: CUT
            with pytest.raises(ReplyUnusable, match="cut its reply at 1024 tokens"):
                await generator.agenerate(request())
        assert not threads()
        assert await asyncio.to_thread(server.wait_for, lambda s: not s.open)


async def test_what_was_not_awaited_is_closed_too():
    with chat_server(echo) as server:
        async with load_generator("openai", url=server.url) as generator:
            assert generator.generate(request()) == "on p"
            assert threads()
        assert not threads()
        assert await asyncio.to_thread(server.wait_for, lambda s: not s.open)


def test_other_work_is_done_where_its_connections_are():
    with chat_server(echo) as server, load_generator("openai", url=server.url) as generator:
        assert generator.run(generator.agenerate, request()).text == generator.generate(request())
        assert len(threads()) == 1 and server.open == 1


def test_a_forked_process_has_its_own_loop():
    with chat_server(echo) as server, load_generator("openai", url=server.url) as generator:
        generator.generate(request())
        if not (child := os.fork()):
            signal.alarm(30)  # a child that hangs is ended
            os._exit(0 if generator.generate(request("child")) == "on child" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert generator.generate(request()) == "on p"


def test_a_closed_one_opens_again():
    with chat_server(echo) as server:
        generator = load_generator("openai", url=server.url)
        generator.close()
        for _ in range(3):
            generator.generate(request())
            generator.close()
            generator.close()
            assert server.wait_for(lambda s: not s.open) and not threads()


@pytest.mark.parametrize("failing", [None, "the model", "the reply"])
def test_a_forgotten_one_lets_go(failing):
    with chat_server(echo) as server:
        server.models = [] if failing == "the model" else ["m"]
        server.say = (lambda *_: 400) if failing == "the reply" else echo
        generator = load_generator("openai", url=server.url)
        with pytest.raises(GeneratorError) if failing else nullcontext():
            generator.generate(request())
        assert threads()
        del generator
        gc.collect()
        assert until(lambda: not threads())
        assert server.wait_for(lambda s: not s.open)


def test_closing_ends_what_is_under_way():
    with chat_server(lambda *_: Steps(60)) as server:
        generator = load_generator("openai", url=server.url)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(generator.generate, request())
            assert until(lambda: server.prompts)
            generator.close()
            with pytest.raises(GeneratorError, match="closed while it was asked"):
                asked.result(30)
        assert server.wait_for(lambda s: s.left == 1 and not s.open) and not threads()


def test_who_interrupts_ends_the_request():
    # Who was started in the background by a shell script ignores the signal from birth.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted():
    main = threading.get_ident()
    with chat_server(lambda *_: Steps(60)) as server:

        def interrupt():
            until(lambda: server.prompts)
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        generator = load_generator("openai", url=server.url)
        with generator, pytest.raises(KeyboardInterrupt):
            generator.generate(request())
        assert server.wait_for(lambda s: s.left == 1 and not s.open)
