"""The client of OpenAI-compatible servers, against a server on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from drehr_rag.errors import BadArgument, GeneratorError
from drehr_rag.generators import load_generator
from drehr_rag.protocols import GenerationRequest

SECRET = "Zebedee has gout"
SCHEMA = {"type": "object", "properties": {}, "required": []}
REQUEST = GenerationRequest(
    prompt=f"Notes: {SECRET}. Question?", question="Question?", passages=(SECRET,), schema=SCHEMA
)


def models(*names):
    return {"object": "list", "data": [{"id": name} for name in names]}


def reply(text):
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


class FakeServer(HTTPServer):
    """Gives each path its answer and keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        self.answers = {
            "/v1/models": (200, models("m1")),
            "/v1/chat/completions": (200, reply("x")),
        }
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body):
        self.server.seen.append((self.command, self.path, body, dict(self.headers)))
        status, content = self.server.answers[self.path]
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("drehr_rag.generators._chat_client.pause", lambda *_: 0.0)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = FakeServer()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def generate(url, **options):
    return load_generator("openai", url=url, **options).generate(REQUEST)


def test_what_is_asked_and_what_comes_back(server):
    server.answers["/v1/chat/completions"] = (200, reply('{"sentences": []}'))
    assert generate(server.url) == '{"sentences": []}'
    (get, post) = server.seen
    assert get[:2] == ("GET", "/v1/models")
    method, path, body, _ = post
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert body["model"] == "m1"
    assert body["temperature"] == 0
    assert body["messages"] == [{"role": "user", "content": REQUEST.prompt}]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }
    assert body["max_tokens"] > 0


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_the_address_with_or_without_v1(server, ending):
    assert generate(server.url + ending) == "x"


def test_a_named_model_is_not_looked_up(server):
    generate(server.url, model="m9")
    assert [(path, body["model"]) for _, path, body, _ in server.seen] == [
        ("/v1/chat/completions", "m9")
    ]


def test_the_only_model_is_looked_up_once(server):
    generator = load_generator("openai", url=server.url)
    for _ in range(3):
        generator.generate(REQUEST)
    assert [path for _, path, _, _ in server.seen].count("/v1/models") == 1


def test_what_the_reply_cost_if_the_server_says_so(server):
    generator = load_generator("openai", url=server.url)
    assert generator.model == "m1" and generator.tokens is None
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    server.answers["/v1/chat/completions"] = (200, reply("x") | {"usage": usage})
    generator.generate(REQUEST)
    assert generator.tokens == {"prompt": 11, "completion": 2}
    for silent in (None, {}, [], "many", {"prompt_tokens": 1}, usage | {"prompt_tokens": -1}):
        server.answers["/v1/chat/completions"] = (200, reply("x") | {"usage": silent})
        generator.generate(REQUEST)
        assert generator.tokens is None
    generator.tokens = {"prompt": 11, "completion": 2}
    server.answers["/v1/chat/completions"] = (500, {})
    with pytest.raises(GeneratorError):
        generator.generate(REQUEST)
    assert generator.tokens is None


@pytest.mark.parametrize("names", [[], ["m1", "m2"]])
def test_which_of_several_models(server, names):
    server.answers["/v1/models"] = (200, models(*names))
    with pytest.raises(GeneratorError, match=f"serves {len(names)} models: name one") as caught:
        generate(server.url)
    assert all(name in str(caught.value) for name in names)


def test_the_key_is_sent_if_there_is_one(server, monkeypatch):
    generate(server.url)
    assert "Authorization" not in server.seen[-1][3]
    generate(server.url, api_key="k1")
    assert server.seen[-1][3]["Authorization"] == "Bearer k1"
    monkeypatch.setenv("OPENAI_API_KEY", "k2")
    generate(server.url)
    assert server.seen[-1][3]["Authorization"] == "Bearer k2"


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_a_refusal_gives_its_number_and_not_its_words(server, status):
    server.answers["/v1/chat/completions"] = (status, {"error": SECRET})
    with pytest.raises(GeneratorError, match=f"chat/completions answered {status}") as caught:
        generate(server.url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode(),
        b"\xff\xfe\xfd",
        b"",
        b"[]",
        b"null",
        b"3",
        {},
        {"choices": []},
        {"choices": [{"message": {"content": None, "refusal": SECRET}}]},
        {"choices": [{"text": SECRET}]},
        {"choices": SECRET},
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_garbage_is_an_error_that_does_not_repeat_it(server, path, content):
    server.answers[path] = (200, content)
    with pytest.raises(GeneratorError, match=server.url) as caught:
        generate(server.url)
    assert SECRET not in str(caught.value)


def test_nobody_there():
    with HTTPServer(("127.0.0.1", 0), Handler) as free:
        url = f"http://127.0.0.1:{free.server_port}"
    with pytest.raises(GeneratorError, match="does not answer"):
        generate(url)


def test_a_key_does_not_travel_in_the_clear(caplog, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BadArgument, match=r"unencrypted to example\.invalid: use https"):
        load_generator("openai", url="http://example.invalid/v1", api_key="k")
    load_generator("openai", url="http://example.invalid/v1")
    assert "notes travel unencrypted to the generator" in caplog.text
    caplog.clear()
    load_generator("openai", url="http://127.0.0.1:1/v1", api_key="k")
    load_generator("openai", url="https://example.invalid/v1", api_key="k")
    assert caplog.text == ""


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://[", "", "http://"])
def test_no_address_at_all(url):
    with pytest.raises(BadArgument, match="the address of the generator"):
        generate(url)
