"""The client of reranking servers, against a server on this machine that fails in every way."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drehr_rag import _http
from drehr_rag.errors import BadArgument, ModelUnavailable, RerankerError, UnknownName
from drehr_rag.rerankers import load_reranker, served

SECRET = "Zebedee has gout"
TEXTS = ["gout of the toe", "heart failure", "gout gout", "no pain"]


class Handler(BaseHTTPRequestHandler):
    """Scores by how often the query stands in a text; `server.faults` are served first."""

    def do_GET(self):
        self.answer(200, {"data": self.server.models})

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append((self.path, given))
            self.server.keys.add(self.headers.get("Authorization"))
            fault = self.server.faults.pop(0) if self.server.faults else None
        counts = [float(text.count(given["query"])) for text in given["documents"]]
        rows = [{"index": i, "relevance_score": score} for i, score in enumerate(counts)]
        if callable(fault):
            fault(self, rows)
        elif isinstance(fault, int):
            self.answer(fault, {"error": {"message": f"bad input: {given}"}})
        else:
            self.answer(200, {"results": sorted(rows, key=lambda row: -row["relevance_score"])})

    def answer(self, code, content, **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def dies(handler, rows):
    handler.connection.close()


def later(handler, rows):
    handler.answer(429, {}, Retry_After="7")


def sends(content):
    return lambda handler, rows: handler.answer(200, content)


def scored(score):
    row = {"index": 0, "relevance_score": score}
    return sends(json.dumps({"results": [row, {**row, "index": 1}]}).encode())


@pytest.fixture
def server(monkeypatch):
    waits = []
    monkeypatch.setattr(_http, "sleep", waits.append)
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.waits, made.faults, made.seen, made.keys = waits, [], [], set()
    made.lock, made.models = threading.Lock(), [{"id": "medcpt"}]
    made.url = f"http://127.0.0.1:{made.server_port}"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def load(server, **options):
    reranker = load_reranker(f"served:{server.url}", **options)
    server.seen.clear()
    return reranker


def test_scores_are_in_the_order_of_the_texts_whatever_the_order_of_the_reply(server):
    reranker = load(server)
    assert reranker.name == f"served:{server.url}/v1?served_model=medcpt"
    assert reranker.score("gout", TEXTS) == [1, 0, 2, 0]
    ((path, body),) = server.seen
    assert path == "/v1/rerank"
    assert body["documents"] == TEXTS and body["model"] == "medcpt" and body["top_n"] == 4
    assert reranker.score("gout", []) == []


def test_batches_by_number_and_by_bytes(server, monkeypatch):
    reranker = load(server, batch_size=3)
    assert reranker.score("gout", TEXTS * 2) == [1, 0, 2, 0] * 2
    assert sorted(len(body["documents"]) for _, body in server.seen) == [2, 3, 3]
    server.seen.clear()
    monkeypatch.setattr(served, "BATCH_BYTES", 20)
    assert reranker.score("gout", TEXTS) == [1, 0, 2, 0]
    assert sorted(len(body["documents"]) for _, body in server.seen) == [1, 1, 2]


def test_what_passes_is_tried_again(server):
    reranker = load(server)
    server.faults = [503, dies, later]
    assert reranker.score("gout", TEXTS) == [1, 0, 2, 0]
    assert len(server.waits) == 3 and server.waits[2] == 7


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (500, "the reranking server at .*/v1/rerank answered 500, 4 times"),
        (400, "answered 400$"),
        (401, "refuses the key: set DREHR_RERANK_API_KEY"),
        (dies, "does not answer .*, 4 times"),
        (sends(b"<html>"), "not JSON"),
        (sends(b"[]"), "no scores for 2 passages"),
        (sends({"results": [{"index": 0, "relevance_score": 1}]}), "1 scores for 2 passages"),
        (sends({"results": [{"index": 0, "relevance_score": 1}] * 2}), "no scores for 2"),
        (scored("high"), "no scores for 2 passages"),
        (scored(float("nan")), "no scores for 2 passages"),
    ],
)
def test_what_does_not_pass_is_an_error_without_the_texts(server, fault, message):
    reranker = load(server)
    server.faults = [fault] * 4
    with pytest.raises(RerankerError, match=message) as error:
        reranker.score("gout", [SECRET, "b"])
    assert SECRET not in str(error.value)


def test_a_server_that_stalls(server):
    reranker = load(server, timeout=1, retries=1)
    server.faults = [lambda *_: threading.Event().wait(4)] * 2
    with pytest.raises(RerankerError, match=r"does not answer within 1 s, 2 times"):
        reranker.score("gout", TEXTS)


def test_the_key_is_sent_and_not_told(server, monkeypatch):
    monkeypatch.setenv("DREHR_RERANK_API_KEY", "from-env")
    reranker = load(server)
    assert server.keys == {"Bearer from-env"} and "from-env" not in reranker.name
    server.keys.clear()
    load(server, api_key="given")
    assert server.keys == {"Bearer given"}


def test_which_model_is_meant(server):
    server.models = [{"id": "a"}, {"id": "b"}]
    with pytest.raises(BadArgument, match=r"serves 2 models: name one of \['a', 'b'\]"):
        load(server)
    load_reranker(f"served:{server.url}?served_model=b")
    assert server.seen[-1][1]["model"] == "b"


def test_nobody_there():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as free:
        url = f"http://127.0.0.1:{free.server_port}"
    with pytest.raises(ModelUnavailable, match="does not answer"):
        load_reranker(f"served:{url}")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("served", {}, BadArgument, "address of the reranking server"),
        ("served:http://127.0.0.1:1?model=x", {}, UnknownName, "no setting model"),
        ("served:http://bob:hunter2@127.0.0.1:1", {}, BadArgument, "a password"),
        ("served:http://127.0.0.1:1", {"batch_size": 0}, BadArgument, "batch_size"),
        ("served:http://127.0.0.1:1", {"retries": -1}, BadArgument, "retries"),
        ("served:http://example.invalid", {"api_key": "k"}, BadArgument, "travel unencrypted"),
    ],
)
def test_what_cannot_be_meant(name, options, error, message):
    with pytest.raises(error, match=message) as problem:
        load_reranker(name, **options)
    assert "hunter2" not in str(problem.value)
