"""Answers written by a real vLLM server: a random model, so whatever it says is invented."""

import json
import os

import pytest
from vllm_server import serving, tiny_llama

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.errors import GeneratorError
from drehr_rag.generators import load_generator
from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa.answering import SCHEMA, _request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: set DREHR_VLLM_PYTHON to the Python of a venv that has it",
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


def test_the_reply_fits_the_schema(url, index):
    hits = index.search("heparin", scope=Patient("p08"), k=2)
    reply = load_generator("openai", url=url).generate(_request("Why?", hits))
    sentences = json.loads(reply)["sentences"]
    assert isinstance(sentences, list)
    for sentence in sentences:
        assert set(sentence) == {"text", "passage", "quote"}


def test_nothing_invented_gets_through(url, index):
    answer = index.ask("Why was enoxaparin stopped?", scope=Patient("p08"), generator_url=url)
    assert answer.abstained
    assert answer.sentences == ()
    assert answer.reason


def test_a_prompt_that_is_too_long_is_an_error_without_note_text(url):
    request = GenerationRequest("secret " * 9000, "q", ("p",), SCHEMA)
    with pytest.raises(GeneratorError, match="answered 400") as error:
        load_generator("openai", url=url).generate(request)
    assert "secret" not in str(error.value)


def test_a_model_that_is_not_served(url):
    request = GenerationRequest("hello", "q", ("p",), SCHEMA)
    with pytest.raises(GeneratorError, match="answered 404"):
        load_generator("openai", url=url, model="nobody").generate(request)
