"""Where a model is looked for, and how soon and how clearly its absence is told."""

import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drehr_rag import load_encoder
from drehr_rag.encoders import _weights
from drehr_rag.encoders._weights import model_folder, weights_hash
from drehr_rag.errors import BadArgument, DrehrError, EncoderError, ModelUnavailable, UnknownName

pytest.importorskip("huggingface_hub")

HELP = r"hf download nobody/nothing --local-dir MODEL .*give its path instead of the name"


@pytest.fixture(autouse=True)
def not_offline(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def silent_hub(monkeypatch):
    """A hub that takes the connection and never answers, as behind a firewall."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


def refused(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")


def test_a_silent_hub_is_given_up_within_seconds(silent_hub):
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match=HELP) as caught:
        model_folder("nobody/nothing")
    assert time.monotonic() - started < 10
    assert "Timeout" in str(caught.value)


def test_a_download_that_is_cut_off_for_good_is_no_model(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    transport = pytest.importorskip("httpx2")  # what this version of the library speaks through

    def fetch(name, *, local_files_only=False, **_):
        if local_files_only:
            raise hub.errors.LocalEntryNotFoundError("not here")
        raise transport.RemoteProtocolError("peer closed connection")

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    monkeypatch.setattr(_weights, "_hub_problem", lambda: None)
    with pytest.raises(ModelUnavailable, match=rf"RemoteProtocolError.*{HELP}"):
        model_folder("nobody/nothing")


@pytest.mark.parametrize("name", ["offline", "medcpt"])
def test_a_revision_that_would_be_ignored_is_refused(name):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(BadArgument, match="revision"):
        load_encoder(name, revision="v1")


@pytest.mark.parametrize(
    "name", ["nobody/nothing", "sentence-transformer:nobody/nothing", "dr-ehr-small:nobody/nothing"]
)
def test_no_hub_no_model(monkeypatch, name):
    pytest.importorskip("sentence_transformers")
    refused(monkeypatch)
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match=HELP):
        load_encoder(name)
    assert time.monotonic() - started < 10


def test_the_authors_model_is_named(monkeypatch, tmp_path):
    pytest.importorskip("sentence_transformers")
    refused(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"hf download THUMedInfo/DR\.EHR-small"):
        load_encoder("dr-ehr-small")


@pytest.mark.parametrize("said", ["1", "true", "YES", "on"])
def test_offline_by_wish(monkeypatch, said):
    monkeypatch.setenv("HF_HUB_OFFLINE", said)
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE is set"):
        model_folder("nobody/nothing")


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.path.split("/")[1]) if self.path[1:4].isdigit() else 404
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        """Quiet."""


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_hub_that_refuses(status, tmp_path):
    """In a process of its own: the library reads its address when it is imported."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    script = (
        "import time; from drehr_rag.encoders._weights import model_folder\n"
        "from drehr_rag.errors import ModelUnavailable\n"
        "import huggingface_hub.errors; started = time.monotonic()\n"
        "try: model_folder('nobody/nothing')\n"
        "except ModelUnavailable as e: print(time.monotonic() - started, e)\n"
    )
    endpoint = f"http://127.0.0.1:{server.server_port}/{status}"
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 0, done.stderr[-2000:]
    seconds, _, message = done.stdout.partition(" ")
    assert float(seconds) < 10
    assert "hf download nobody/nothing" in message


@pytest.mark.parametrize("name", ["nobody/no thing", "nobody/../x", "no--body/x..y", "nobody/"])
def test_a_name_that_no_hub_can_have(monkeypatch, name):
    refused(monkeypatch)
    with pytest.raises(DrehrError):
        model_folder(name)


@pytest.mark.parametrize("place", ["./no/model", "/no/model", "~/no_model_here", "a/b/c", "model"])
def test_a_folder_that_is_not_there(monkeypatch, place):
    monkeypatch.setattr(_weights, "_hub_problem", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(ModelUnavailable, match="there is no model folder"):
        model_folder(place)


def test_a_folder_that_is_there(tmp_path):
    assert model_folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["ofline", "bert", ":", "DR.EHR-small"])
def test_unknown_names(name):
    with pytest.raises(UnknownName, match=r"dr-ehr-small, medcpt.*sentence-transformers"):
        load_encoder(name)


def test_a_sentence_transformer_needs_a_model():
    with pytest.raises(UnknownName, match="sentence-transformer:MODEL"):
        load_encoder("sentence-transformer")


def test_weights_are_hashed_by_content(tmp_path):
    def folder(name, **files):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file.replace("_", ".", 1)).write_text(content)
        return weights_hash(tmp_path / name)

    base = folder("a", model_safetensors="w", vocab_txt="v")
    assert base == folder("b", model_safetensors="w", vocab_txt="v", README_md="x")
    assert base != folder("c", model_safetensors="W", vocab_txt="v")
    assert base != folder("d", model_safetensors="w", vocab_txt="V")
    assert base == folder("e", model_safetensors="w", vocab_txt="v", old_bin="x")
    with pytest.raises(EncoderError, match="holds no weights"):
        folder("f", vocab_txt="v")
