"""The generator `vllm` with the real engine on the CPU, in vLLM's own environment."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from vllm_server import tiny_llama

import drehr_rag

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]

SCRIPT = """
import json, sys
from drehr_rag.errors import ContextOverflow, DrehrError
from drehr_rag.generators import load_generator
from drehr_rag.protocols import GenerationRequest, Generator

def asked(prompt, schema):
    return GenerationRequest(prompt, "q", ("p",), schema)

WORD = {
    "type": "object",
    "properties": {"word": {"type": "string", "pattern": "^[a-z]{3,9}$"}},
    "required": ["word"],
    "additionalProperties": False,
}
LONG = {**WORD, "properties": {"word": {"type": "string", "pattern": "^[a-z]{900,999}$"}}}

if __name__ == "__main__":
    with load_generator("vllm", model=sys.argv[1], max_tokens=100) as generator:
        many = [asked(f"Why {n}?", WORD) for n in range(6)]
        many[2] = asked("secret " * 9000, WORD)
        many[4] = asked("Why?", LONG)
        replies = generator.generate_many(many)
        alone = generator.generate(many[0])
        said = {
            "is": isinstance(generator, Generator),
            "words": [None if isinstance(r, DrehrError) else r.text for r in replies],
            "errors": [[type(r).__name__, str(r)] for r in replies if isinstance(r, DrehrError)],
            "alone": alone,
            "tokens": generator.tokens,
            "count": generator.count("heparin"),
            "name": generator.name,
        }
    print("SAID" + json.dumps(said))
"""


def test_a_batch_in_process(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    tiny_llama(folder)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    tree = str(Path(drehr_rag.__file__).parents[1])
    done = subprocess.run(
        [os.environ["DREHR_VLLM_PYTHON"], script, folder],
        env={**os.environ, "PYTHONPATH": tree, "VLLM_CPU_KVCACHE_SPACE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.split("SAID")[1])
    assert said["is"] and said["name"] == "tiny"
    words = [json.loads(text)["word"] for text in said["words"] if text]
    assert len(words) == 4 and all(3 <= len(word) <= 9 for word in words)
    assert [kind for kind, _ in said["errors"]] == ["ContextOverflow", "ReplyUnusable"]
    assert "secret" not in str(said["errors"])
    assert json.loads(said["alone"])["word"] == words[0]
    assert said["tokens"]["completion"] > 3
    assert said["count"] == len("heparin")  # each byte is a token of this model
