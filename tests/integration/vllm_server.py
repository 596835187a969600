"""A real vLLM server on the CPU with a tiny random Llama, for tests that need one."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from small_llama import SPECIAL, byte_level, chatting, small_llama


def tiny_llama(folder):
    """A Llama of about 1.3 million random parameters with a byte-level tokenizer."""
    from tokenizers import models, pre_tokenizers

    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    chatting(byte_level(models.BPE(vocab=vocabulary, merges=[]))).save_pretrained(folder)
    small_llama(len(pieces), length=8192).save_pretrained(folder)


@contextmanager
def serving(folder, *arguments, max_len=8192, dtype="bfloat16", log=None):
    """The server's base URL and process; it is ended, by its id, at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ["DREHR_VLLM_PYTHON"], "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(folder), "--served-model-name", "tiny", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--dtype", dtype, "--max-model-len", str(max_len)]
    # Compiling takes as long as all else of its start; the engine and its kernels are the same.
    command += ["--enforce-eager", *arguments]
    # A random model may write spaces between two JSON tokens without end.
    narrow = '{"backend": "xgrammar", "disable_any_whitespace": true}'
    if "pooling" not in arguments:
        command += ["--structured-outputs-config", narrow]
        command += ["--no-enable-chunked-prefill"]  # a seed would end the server (_vllm_command)
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with Path(log or os.devnull).open("w") as out:
        process = _started(command, environment, out, port)
        try:
            yield f"http://127.0.0.1:{port}/v1", process
        finally:
            _end(process)


def _started(command, environment, out, port):
    """A healthy server. On a busy machine its worker can give up while warming up: once more."""
    for last in (False, True):
        process = subprocess.Popen(
            command, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            _wait(process, port)
            return process
        except (RuntimeError, TimeoutError):
            _end(process)
            if last:
                raise


def _end(process):
    """The server and its workers; one whose worker died may hang where it should end."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
            return


def _wait(process, port, seconds=600):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"vLLM ended with {process.returncode}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    raise TimeoutError("vLLM did not become healthy")
