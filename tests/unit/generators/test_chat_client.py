"""The client of language-model servers against one that streams, stalls, drips and breaks off."""

import asyncio
import gc
import json
import time
from contextlib import aclosing, suppress

import pytest
from chat_server import END, USAGE, Refused, Steps, chat_server, event

from drehr_rag.errors import (
    BadArgument,
    ContextOverflow,
    GeneratorError,
    GeneratorTimeout,
    GeneratorUnavailable,
    KeyRefused,
    NoSuchModel,
    ReplyUnusable,
)
from drehr_rag.generators._chat_client import ChatClient
from drehr_rag.protocols import Piece, Reply, TokenCounts

SECRET = "Zebedee has gout"
ASKED = [{"role": "user", "content": SECRET}]
TOKENS = TokenCounts(USAGE["prompt_tokens"], USAGE["completion_tokens"])
LONG = 60
"""Seconds that no test waits: what it waits for comes at once, or is cancelled."""

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """What the server asked to wait; no time passes."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = []
    monkeypatch.setattr(
        "drehr_rag.generators._chat_client.pause", lambda _, wait=None: asked.append(wait) or 0.0
    )
    return asked


async def heard(client, **options):
    """All pieces of a stream."""
    async with aclosing(client.stream(ASKED, **options)) as pieces:
        return [piece async for piece in pieces]


async def failing(call, kind):
    """The error's message, which never repeats what was sent."""
    with pytest.raises(GeneratorError) as caught:
        await call
    assert type(caught.value) is kind
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.reason}"
    return str(caught.value)


# -- whole replies -----------------------------------------------------------------------------


async def test_a_chat_and_a_plain_completion():
    schema = {"type": "object"}
    with chat_server(lambda prompt, _: f"on {len(prompt)}") as server:
        async with ChatClient(server.url, api_key="k1") as client:
            reply = await client.chat(ASKED, schema=schema, max_tokens=9, extra={"top_p": 0.5})
            assert reply == Reply("on 16", None, TOKENS, "tiny-chat")
            reply = await client.complete(SECRET, temperature=0.7, seed=None)
            assert reply == Reply("on 16", "stop", TOKENS, "tiny-chat")
    chat, plain = server.bodies
    assert chat == {
        "model": "tiny-chat",
        "messages": ASKED,
        "temperature": 0,
        "seed": 0,
        "max_tokens": 9,
        "top_p": 0.5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        },
    }
    assert (plain["prompt"], plain["temperature"], "seed" in plain) == (SECRET, 0.7, False)
    assert all(headers["Authorization"] == "Bearer k1" for headers in server.headers)
    assert SECRET not in repr(Reply(SECRET)) and SECRET not in repr(Piece(SECRET))


async def test_half_of_a_surrogate_pair_stops_nothing():
    said = json.dumps({"choices": [{"message": {"content": "a\ud800b"}}]}).encode()
    with chat_server(lambda *_: said) as server:
        async with ChatClient(server.url) as client:
            reply = await client.chat([{"role": "user", "content": "x\ud800y"}])
    assert (reply.text, server.prompts) == ("ab", ["x?y"])


async def test_the_only_model_is_asked_for_once_by_all():
    with chat_server(lambda *_: "x") as server:
        async with ChatClient(server.url) as client:
            await asyncio.gather(*(client.chat(ASKED) for _ in range(20)))
            assert await client.model_name() == client.model == "tiny-chat"
        assert server.asked_models == 1


async def test_who_asks_for_the_model_and_goes_away_takes_it_from_nobody():
    with chat_server(lambda *_: "x") as server:
        async with ChatClient(server.url) as client:
            first, second = (asyncio.create_task(client.model_name()) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == "tiny-chat"
        server.models = []
        async with ChatClient(server.url) as client:
            await failing(client.chat(ASKED), GeneratorError)
            server.models = ["m2"]
            assert (await client.chat(ASKED)).model == "m2"


OVERFLOWS = [
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens "
    f"({SECRET}).",
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context "
    "length is 8192 tokens and your request has 1210 input tokens (8192 > 8192 - 1210).",
    "max_tokens must be at least 1, got -186.",
]


@pytest.mark.parametrize("form", [lambda said: said, lambda said: {"error": said}])
@pytest.mark.parametrize("words", OVERFLOWS)
async def test_a_prompt_that_is_too_long(words, form):
    said = form({"object": "error", "message": words, "type": "BadRequestError", "code": 400})
    with chat_server(lambda *_: Refused(400, said)) as server:
        async with ChatClient(server.url) as client:
            for call in (client.chat(ASKED), heard(client)):
                message = await failing(call, ContextOverflow)
                assert "answered 400" in message and "fewer passages" in message
    assert len(server.prompts) == 2


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (400, GeneratorError, "answered 400"),
        (Refused(400, b"\xff" * 100_000), GeneratorError, "answered 400"),
        (Refused(400, b"[" * 60_000), GeneratorError, "answered 400"),
        (Refused(400, [SECRET]), GeneratorError, "answered 400"),
        (301, GeneratorError, "answered 301"),
        (422, GeneratorError, "answered 422"),
        (401, KeyRefused, "put the right key into OPENAI_API_KEY"),
        (403, KeyRefused, "a key that may use this model into OPENAI_API_KEY"),
        (404, NoSuchModel, "no such model as 'm9'"),
    ],
)
async def test_what_does_not_pass_is_asked_once(said, kind, words, pauses):
    with chat_server(lambda *_: said) as server:
        async with ChatClient(server.url, model="m9") as client:
            for call in (client.chat(ASKED), client.complete(SECRET), heard(client)):
                message = await failing(call, kind)
                assert f"the language model at {server.url}/" in message and words in message
    assert (len(server.prompts), pauses) == (3, [])


@pytest.mark.parametrize(
    ("said", "words", "wait"),
    [
        *((status, f"answered {status}", None) for status in (408, 425, 429, 500, 503)),
        (Refused(429, Retry_After="7"), "answered 429", 7),
        (Refused(503, Retry_After="soon"), "answered 503", None),
        (None, "does not answer (", None),
        (SECRET.encode(), "not JSON", None),
        (b"\xff\xfe", "not JSON", None),
        (b"[" * 100_000, "not JSON", None),
        (Steps(b'{"choices":', None), "does not answer (", None),
    ],
)
async def test_what_passes_is_tried_again(said, words, wait, pauses):
    with chat_server(lambda _, n: said if n % 3 else "x") as server:
        async with ChatClient(server.url, retries=2) as client:
            assert (await client.chat(ASKED)).text == "x"
            assert len(server.prompts) == 3 and pauses == [wait] * 2
        async with ChatClient(server.url, retries=1) as client:
            assert words in await failing(client.chat(ASKED), GeneratorUnavailable)
            assert len(server.prompts) == 5


@pytest.mark.parametrize(
    "said",
    [
        *(b"null", b"3", b"[]", b"{}", b'{"choices": [{}]}'),
        *({"text": SECRET}, {"message": SECRET}, {"message": {"content": None, "refusal": SECRET}}),
    ],
)
async def test_a_reply_without_text(said):
    with chat_server(lambda *_: said) as server:
        async with ChatClient(server.url) as client:
            assert "without text" in await failing(client.chat(ASKED), ReplyUnusable)
    assert len(server.prompts) == 1


@pytest.mark.parametrize("first", [b"", b'{"choices"', b": "])
async def test_a_server_that_stops_or_drips_is_too_late(first):
    """A line or a comment that goes on for ever, a byte now and then, is no answer either."""
    for rest in ([LONG], [0.05, b"x"] * LONG):
        with chat_server(lambda *_, steps=rest: Steps(first, *steps)) as server:
            async with ChatClient(server.url, timeout=0.3, retries=1) as client:
                for call in (client.chat(ASKED), heard(client)):
                    message = await failing(call, GeneratorTimeout)
                    assert "does not answer within 0.3 s" in message
            assert server.wait_for(lambda s: s.left == len(s.prompts) == 4 and not s.open)


async def test_nobody_there():
    with chat_server(lambda *_: "x") as server:
        url = server.url
    async with ChatClient(url) as client:
        assert "does not answer (ConnectError)" in await failing(
            client.model_name(), GeneratorUnavailable
        )
        await failing(heard(client), GeneratorUnavailable)


@pytest.mark.parametrize(
    "option",
    [
        *({"timeout": value} for value in (0, "9", float("inf"), True)),
        *({"connect_timeout": -1}, {"stall": float("nan")}),
        *({"retries": -1}, {"retries": 1.5}, {"concurrency": 0}),
    ],
)
def test_numbers_that_are_none(option):
    with pytest.raises(BadArgument, match=next(iter(option))):
        ChatClient("http://localhost:1", **option)


# -- streams -----------------------------------------------------------------------------------


async def test_a_stream_of_pieces():
    with chat_server(lambda *_: "Gout is common") as server:
        async with ChatClient(server.url) as client:
            pieces = await heard(client, max_tokens=3)
    assert pieces == [Piece("Gout "), Piece("is "), Piece("common"), Piece("", "stop", TOKENS)]
    [body] = server.bodies
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert body["max_tokens"] == 3


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
async def test_pieces_cut_anywhere(size, ending):
    """Also inside a character; U+2028 and U+0085 end no line, though `str.splitlines` thinks so."""
    text = "é\u2028中\x85🩺"
    said = b": ping\n\n" + event(None) + event(text) + b"event: x\nid: 3\n" + event("y") + END
    said = said.replace(json.dumps(text).encode(), json.dumps(text, ensure_ascii=False).encode())
    said = said.replace(b"\n", ending)
    steps = Steps(*(said[i : i + size] for i in range(0, len(said), size)))
    with chat_server(lambda *_: steps) as server:
        async with ChatClient(server.url) as client:
            assert await heard(client) == [Piece(text), Piece("y"), Piece("", "stop", TOKENS)]


@pytest.mark.parametrize(
    ("ending", "tokens"),
    [
        (event("", "length"), None),  # without [DONE], as some servers end
        (event("", "length") + b"data: [DONE]\n\n", None),
        (event("", "length", usage=USAGE), TOKENS),
        (event("", "length").rstrip(b"\n") + b"\n", None),
    ],
)
async def test_ends_of_a_stream(ending, tokens):
    with chat_server(lambda *_: Steps("x", ending)) as server:
        async with ChatClient(server.url) as client:
            assert await heard(client) == [Piece("x"), Piece("", "length", tokens)]


ERROR = {"error": {"message": SECRET, "type": "InternalServerError", "code": 500}}
BROKEN = [
    ((None,), "does not answer ("),
    ((), "broke off its reply"),
    ((b"data: [DONE]\n\n",), "broke off its reply"),
    ((b'data: {"choi',), "broke off its reply"),
    ((b"data: " + json.dumps(ERROR).encode() + b"\n\n", END), "broke off its reply with an error"),
    ((b'data: {"object": "error", "message": "x"}\n\n',), "broke off its reply with an error"),
    ((b"event: error\ndata: " + SECRET.encode() + b"\n\n",), "broke off its reply with an error"),
    ((b"<html>" + SECRET.encode() + b"</html>\n\n",), "no stream of a reply"),
    ((b"data\n\n",), "no stream of a reply"),
    ((b"x" * 1_100_000,), "no stream of a reply"),
    ((b"data: " + SECRET.encode() + b"\n\n",), "not JSON"),
    ((b"data: \xff\n\n",), "not JSON"),
    ((b"data: " + b"[" * 100_000 + b"\n\n",), "not JSON"),
    *(
        ((b"data: " + said + b"\n\n",), "no piece of a reply")
        for said in (b"3", b"[]", b"null", b"{}", b'{"choices": [3]}', b'{"choices": {}}')
    ),
    *(
        ((b'data: {"choices": [' + said + b"]}\n\n",), "no piece of a reply")
        for said in (b'{"delta": 3}', b'{"delta": {"content": 3}}', b'{"finish_reason": 3}')
    ),
]


@pytest.mark.parametrize(("steps", "words"), BROKEN)
async def test_a_stream_that_breaks_is_an_error_and_not_begun_anew(steps, words):
    with chat_server(lambda *_: Steps("Gout", *steps)) as server:
        async with ChatClient(server.url, retries=3) as client:
            found = []

            async def listen():
                async for piece in client.stream(ASKED):
                    found.append(piece)

            message = await failing(listen(), GeneratorUnavailable)
            assert words in message and server.url in message
            assert (found, len(server.prompts)) == ([Piece("Gout")], 1)
        assert server.wait_for(lambda s: not s.open)


@pytest.mark.parametrize(("steps", "words"), BROKEN)
async def test_a_stream_that_breaks_before_its_first_piece_is_begun_anew(steps, words):
    with chat_server(lambda _, n: Steps(*steps) if n < 3 else "Gout") as server:
        async with ChatClient(server.url, retries=2) as client:
            assert (await heard(client))[0] == Piece("Gout")
    assert len(server.prompts) == 3


async def test_a_stream_that_stalls():
    with chat_server(lambda *_: Steps("Gout", *[b": ping\n\n", 0.05] * 400)) as server:
        async with ChatClient(server.url, stall=0.2) as client:
            assert "stops for 0.2 s in its reply" in await failing(heard(client), GeneratorTimeout)
        async with ChatClient(server.url, timeout=0.2, retries=0) as client:
            assert "within 0.2 s" in await failing(heard(client), GeneratorTimeout)
        assert server.wait_for(lambda s: not s.open)


async def test_a_slow_reader_is_not_the_servers_fault():
    with chat_server(lambda *_: "a b c") as server:
        async with ChatClient(server.url, timeout=1, stall=1) as client:
            found = []
            async for piece in client.stream(ASKED):
                found.append(piece.text)
                await asyncio.sleep(0.5)
    assert found == ["a ", "b ", "c", ""]


# -- leaving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["break", "close", "cancel"])
async def test_who_leaves_a_stream_ends_it(how):
    with chat_server(lambda *_: Steps("a", "b", LONG, END)) as server:
        async with ChatClient(server.url, concurrency=1) as client:
            if how == "break":
                async for _ in client.stream(ASKED):
                    break
            elif how == "close":
                pieces = client.stream(ASKED)
                await anext(pieces)
                await pieces.aclose()
            else:
                task = asyncio.create_task(heard(client))
                await asyncio.sleep(0.2)
                task.cancel()
                await asyncio.wait([task], timeout=LONG)
                assert task.cancelled()
            assert await asyncio.to_thread(server.wait_for, lambda s: s.left and not s.open)
            server.say = lambda *_: "x"
            assert (await client.chat(ASKED)).text == "x"  # its place in the queue is free again


async def test_who_cancels_a_request_ends_it():
    with chat_server(lambda *_: Steps(LONG)) as server:
        async with ChatClient(server.url) as client:
            tasks = [asyncio.create_task(client.chat(ASKED)) for _ in range(5)]
            assert (
                await asyncio.to_thread(server.wait_for, lambda s: len(s.prompts) == 5 or None, 1)
                or True
            )
            while len(server.prompts) < 5:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=LONG)
            assert all(task.cancelled() for task in tasks)
            assert await asyncio.to_thread(server.wait_for, lambda s: s.left == 5 and not s.open)


async def test_no_connection_is_left_after_failed_and_cancelled_requests():
    faults = [500, 400, None, b"<html>", Steps("a", None), Steps("a", LONG), Steps(LONG), "fine"]
    with chat_server(lambda _, n: faults[n % len(faults)]) as server:
        async with ChatClient(server.url, retries=1, timeout=1, concurrency=8) as client:
            calls = [client.chat(ASKED) if i % 2 else heard(client) for i in range(50)]
            tasks = [asyncio.create_task(call) for call in calls]
            await asyncio.sleep(0.3)
            for task in tasks[::3]:
                task.cancel()
            await asyncio.wait(tasks, timeout=LONG)
            assert all(task.done() for task in tasks)
            for task in tasks:
                with suppress(GeneratorError, asyncio.CancelledError):
                    task.result()
            server.say = lambda *_: "x"
            assert [(await client.chat(ASKED)).text for _ in range(10)] == ["x"] * 10
            assert await asyncio.to_thread(server.wait_for, lambda s: s.open <= 8)
        assert await asyncio.to_thread(server.wait_for, lambda s: s.open == 0)


async def test_no_more_in_flight_than_allowed_streams_among_them():
    most = 0

    def say(*_):
        nonlocal most
        most = max(most, server.open)
        time.sleep(0.02)
        return "x"

    with chat_server(say) as server:
        async with ChatClient(server.url, concurrency=3) as client:
            calls = [client.chat(ASKED) if i % 2 else heard(client) for i in range(20)]
            await asyncio.wait_for(asyncio.gather(*calls), LONG)
    assert 1 < most <= 4  # the server may not have seen yet that a stream's connection was closed


def test_one_client_in_several_event_loops():
    with chat_server(lambda *_: "x") as server:
        client = ChatClient(server.url)
        for _ in range(3):
            assert asyncio.run(_once(client)) == "x"
        assert server.wait_for(lambda s: not s.open)


async def _once(client):
    async with client:
        return (await client.chat(ASKED)).text


def test_what_was_not_closed_in_a_loop_goes_with_the_loop():
    with chat_server(lambda *_: "x") as server:
        client = ChatClient(server.url)
        for _ in range(6):
            assert asyncio.run(client.chat(ASKED)).text == "x"
        del client
        gc.collect()
        assert server.wait_for(lambda s: not s.open)
