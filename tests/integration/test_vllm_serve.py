"""`serve-llm --start` with the real vLLM: it serves, answers to a schema, and ends at Ctrl-C."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import httpx
import pytest
from vllm_server import tiny_llama

from drehr_rag.generators import load_generator
from drehr_rag.protocols import GenerationRequest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]

SMALL = {
    "type": "object",
    "properties": {"word": {"type": "string", "pattern": "^[a-z]{3,9}$"}},
    "required": ["word"],
    "additionalProperties": False,
}


def hears_interrupts():
    """What a shell starts in the background is deaf to them, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command(folder, *more):
    start = [sys.executable, "-m", "drehr_rag.cli", "serve-llm", str(folder), "--start", "--json"]
    return [*start, "--cpu", "--python", os.environ["DREHR_VLLM_PYTHON"], *map(str, more)]


async def long_prompts_with_seeds(url):
    """Read in pieces, as vLLM does by default, they would end it."""
    asked = {"model": "tiny", "seed": 0, "temperature": 0.7, "max_tokens": 8}
    asked |= {"messages": [{"role": "user", "content": "x" * 900}]}
    async with httpx.AsyncClient(timeout=60) as client:
        sent = [client.post(f"{url}/chat/completions", json=asked) for _ in range(8)]
        return [reply.status_code for reply in await asyncio.gather(*sent)]


def test_a_server_from_start_to_end(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    tiny_llama(folder)
    more = ("--port", "8765", "--log", tmp_path / "log")
    pipes = {"stdout": subprocess.PIPE, "text": True, "preexec_fn": hears_interrupts}
    with subprocess.Popen(command(folder, *more), **pipes) as ours:
        try:
            said = ""
            while not said.endswith("\n}\n"):
                line = ours.stdout.readline()
                assert line, (tmp_path / "log").read_text()[-3000:]
                said += line
            served = json.loads(said)
            with load_generator("openai", url=served["generator_url"], max_tokens=60) as asked:
                reply = asked.generate(GenerationRequest("Why?", "q", ("p",), SMALL))
                name = asked.model
            sampled = asyncio.run(long_prompts_with_seeds(served["generator_url"]))
        finally:
            ours.send_signal(signal.SIGINT)
            ours.wait(90)
    assert (name, served["context"]) == ("tiny", 8192)
    assert sampled == [200] * 8
    assert 3 <= len(json.loads(reply)["word"]) <= 9
    assert ours.returncode == 130
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:8765/health")


def test_what_vllm_says_of_a_model_it_cannot_serve(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["Nobody"]}')
    (tmp_path / "model.safetensors").write_bytes(b"none")
    done = subprocess.run(
        command(tmp_path, "--port", "8766", "--log", tmp_path / "log"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "vLLM ended with 1 while it started" in done.stderr
    assert "Nobody" in done.stderr
