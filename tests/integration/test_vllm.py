"""Answers written by a real vLLM server: a random model, so whatever it says is invented."""

import json
import os
from copy import deepcopy

import pytest
from vllm_server import serving, tiny_llama

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.errors import GeneratorError
from drehr_rag.generators import load_generator
from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa.answering import SCHEMA, UNSUPPORTED, _request

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
    schema = deepcopy(dict(SCHEMA))
    sentences = schema["properties"]["sentences"]
    sentences.update(minItems=1, maxItems=2)
    for name in ("text", "quote"):
        sentences["items"]["properties"][name] = {"type": "string", "pattern": "^[a-z ]{5,20}$"}
    monkeypatch.setattr("drehr_rag.qa.answering.SCHEMA", schema)


def generator(url):
    return load_generator("openai", url=url, max_tokens=4000)


def test_a_reply_that_is_cut_says_so(url, index):
    hits = index.search("heparin", scope=Patient("p08"), k=2)
    with pytest.raises(GeneratorError, match="cut its reply at 20 tokens"):
        load_generator("openai", url=url, max_tokens=20).generate(_request("Why?", hits))


def test_the_reply_fits_the_schema(url, index):
    hits = index.search("heparin", scope=Patient("p08"), k=2)
    reply = generator(url).generate(_request("Why?", hits))
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


def test_a_prompt_that_is_too_long_is_an_error_without_note_text(url):
    request = GenerationRequest("secret " * 9000, "q", ("p",), SCHEMA)
    with pytest.raises(GeneratorError, match="answered 400") as error:
        load_generator("openai", url=url).generate(request)
    assert "secret" not in str(error.value)


def test_a_model_that_is_not_served(url):
    request = GenerationRequest("hello", "q", ("p",), SCHEMA)
    with pytest.raises(GeneratorError, match="answered 404"):
        load_generator("openai", url=url, model="nobody").generate(request)
