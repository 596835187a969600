"""Stage 2 from a real vLLM server: a random model, so that entities are well-formed nonsense."""

import asyncio
import os
from copy import deepcopy

import pytest
from vllm_server import serving, tiny_llama

from drehr_rag.training.chat import Chat
from drehr_rag.training.chat_replies import Reply, Silence
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.examples import read_examples
from drehr_rag.training.stage2.asking import TYPES
from drehr_rag.training.stage2.build import build_from_model
from drehr_rag.training.stage2.entities import why_not
from drehr_rag.training.stage2.json_replies import SCHEMA

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]

TEXT = "Gout of the left toe since yesterday, colchicine, day"
NOTES = "\n".join(
    f'{{"note_id": "n{i}", "patient_id": "p", "text": "{TEXT} {i}."}}' for i in range(4)
)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    tiny_llama(folder)
    with serving(folder, log=folder / "log") as (url, _):
        yield url


@pytest.fixture
def notes(tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text(NOTES)
    return file


@pytest.fixture(autouse=True)
def short_replies(monkeypatch):
    """Each byte is a token of this model, and it never stops by itself: bound it narrowly."""
    schema = deepcopy(dict(SCHEMA))
    listed = schema["properties"]["entities"]
    listed.update(maxItems=2, items={"type": "string", "pattern": "^[a-z ]{5,20}$"})
    monkeypatch.setattr("drehr_rag.training.stage2.asking.SCHEMA", schema)


def built(url, notes, output, form, max_tokens):
    async def build():
        async with Chat(url, concurrency=4, max_tokens=max_tokens) as chat:
            corpus = Corpus([notes], shortest=1)
            return await build_from_model(corpus, chat, output, form=form)

    return asyncio.run(build())


@pytest.mark.parametrize(("form", "max_tokens"), [("bullets", 200), ("json", 400)])
def test_what_it_writes_adds_up(url, notes, tmp_path, form, max_tokens):
    manifest = built(url, notes, tmp_path / "out.jsonl", form, max_tokens)
    examples = list(read_examples(tmp_path / "out.jsonl"))
    assert manifest["chunks"] == 4
    assert manifest["counts"]["requests"] == 4 * len(TYPES)
    assert manifest["settings"]["model"] == "tiny"
    assert len(examples) == manifest["examples"]
    none = manifest["counts"].get("chunks without entities", 0)
    failed = sum(manifest["failures"].values())
    assert len(examples) + none == 4 or failed
    kept = sum(manifest["counts"].get(f"entities: {name}", 0) for name in TYPES)
    assert sum(len(example.entities) for example in examples) <= kept
    assert not any(why_not(entity) for example in examples for entity in example.entities)
    assert not any("server" in reason for reason in manifest["failures"])
    if form == "json":
        assert manifest["failures"] == {}


def test_a_cut_reply_and_a_refused_one(url):
    async def ask():
        async with Chat(url, max_tokens=5, retries=0) as chat:
            return await chat.ask("Why?"), await chat.ask("secret " * 9000)

    cut, refused = asyncio.run(ask())
    assert isinstance(cut, Reply)
    assert cut.cut
    assert refused == Silence("answered 400", False)
