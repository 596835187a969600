"""A model and a machine to the command that serves the one on the other.

The options are those of vLLM 0.32 (`vllm/engine/arg_utils.py`, `vllm/envs.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drehr_rag.errors import BadArgument
from drehr_rag.generators._machine import GIB, Gpu, Machine
from drehr_rag.generators._model_folder import ModelFolder

LOCAL = ("127.0.0.1", "localhost", "::1")

SHARE = 0.9
"""Of a processor's memory at most; vLLM's own default is .92, which a busy display breaks."""

ASIDE = 2 * GIB
"""Of each processor, or of main memory, for what is computed meanwhile."""

CONTEXT = 32_768
"""Tokens at most: `ask` needs 8,192; what a model reads beyond costs memory for nothing."""

LEAST = 2_048
"""Tokens: less holds no question with its passages."""

NEEDED = 8_192
"""Tokens that `Settings()`'s budget of passages, the rules and a reply take together."""

CACHE = 40
"""GiB at most for the texts of requests on a machine without GPU."""

STRUCTURED = {"backend": "xgrammar", "disable_any_whitespace": True}
"""It keeps to JSON schemas; without the second a weak model writes white space without end."""


WHOLE_PROMPTS = False
"""Not in pieces: without a GPU a sampled request with a seed, read in pieces, ends vLLM 0.32
("CPU Generator does not use offset", `vllm/v1/worker/gpu_model_runner.py`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is served here.

    Attributes:
        command: Program and arguments.
        options: Those of the arguments that `vllm.LLM` takes too, by its names.
        environment: Variables that it is started with, beside those there are.
        url: Where it answers, for `--generator-url`.
        context: Tokens of prompt and reply together; None: as the model says.
        remarks: What the user should know.
    """

    command: tuple[str, ...]
    options: Mapping[str, Any]
    environment: Mapping[str, str]
    url: str
    context: int | None
    remarks: tuple[str, ...] = ()


def plan(
    model: ModelFolder,
    machine: Machine,
    *,
    python: str,
    host: str = LOCAL[0],
    port: int = 8000,
    key: bool = False,
    cpu: bool = False,
) -> Plan:
    """The command, with what the machine's memory allows.

    Args:
        model: What is served.
        machine: Where.
        python: Of the environment that vLLM is installed in.
        host: Address that it listens at.
        port: Likewise.
        key: Whether VLLM_API_KEY is set.
        cpu: Take the main processor where there are GPUs, too.

    Raises:
        BadArgument: The model does not fit, or others could reach a server without a key.
    """
    if host not in LOCAL and not key:
        raise BadArgument(
            f"at {host} others reach the server, and no key keeps them out: set VLLM_API_KEY, or "
            "leave --host out"
        )
    on_gpu = bool(machine.gpus) and not cpu
    special, environment, room = _gpu(model, machine.gpus) if on_gpu else _cpu(model, machine)
    context = _context(model, room, CONTEXT if on_gpu else NEEDED)
    length = {"max_model_len": context} if context else {}
    options = {**special, **length, "structured_outputs_config": STRUCTURED}
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model.place)]
    command += ["--served-model-name", model.name, "--host", host, "--port", str(port)]
    command += [word for name, value in options.items() for word in _argument(name, value)]
    reached = f"[{host}]" if ":" in host else LOCAL[0] if host == "0.0.0.0" else host
    return Plan(
        tuple(command),
        options,
        {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", **environment},
        f"http://{reached}:{port}/v1",
        context,
        tuple(_remarks(context, on_gpu)),
    )


def _gpu(model: ModelFolder, gpus: tuple[Gpu, ...]) -> tuple[dict[str, Any], dict[str, str], int]:
    """Options, environment, and bytes that are left for the texts of requests."""
    shared = _shared(model.heads, len(gpus))
    used = gpus[:shared]
    share = min(SHARE, *(_hundredths(gpu.free / gpu.total) - 0.02 for gpu in used))
    room = sum(int(gpu.total * share) - ASIDE for gpu in used) - model.weights
    if share <= 0 or room <= 0:
        raise BadArgument(
            f"the model's weights are {_gib(model.weights)} GiB, and {len(used)} GPU(s) have "
            f"{_gib(sum(gpu.free for gpu in used))} GiB free: end what uses them, or take a "
            "smaller or a quantised model"
        )
    dtype = "auto"
    if not model.quantised:
        dtype = "bfloat16" if min(gpu.capability for gpu in used) >= 8 else "float16"
        dtype = "float16" if model.dtype == "float16" else dtype
    options = {"dtype": dtype, "gpu_memory_utilization": round(share, 2)}
    return options | {"tensor_parallel_size": shared, "enable_prefix_caching": True}, {}, room


def _shared(heads: int | None, gpus: int) -> int:
    """As many processors as there are, as far as they divide the attention heads (vLLM's rule)."""
    return max(n for n in range(1, gpus + 1) if n == 1 or (heads and heads % n == 0))


def _cpu(model: ModelFolder, machine: Machine) -> tuple[dict[str, Any], dict[str, str], int]:
    """As `_gpu`; half of what is left is enough, for others run here too."""
    room = (machine.memory - model.weights - ASIDE) // 2
    space = min(CACHE, room // GIB)
    if space < 1:
        raise BadArgument(
            f"the model's weights are {_gib(model.weights)} GiB, and {_gib(machine.memory)} GiB of "
            "memory are available: end what uses it, or take a smaller model"
        )
    options = {"dtype": "bfloat16", "enable_chunked_prefill": WHOLE_PROMPTS}
    return options, {"VLLM_CPU_KVCACHE_SPACE": str(space)}, space * GIB


def _context(model: ModelFolder, room: int, most: int) -> int | None:
    if model.context is None:
        return None
    context = min(model.context, most)
    if model.cache:
        context = min(context, room // model.cache // 16 * 16)  # vLLM's blocks hold 16 tokens
    if context < min(LEAST, model.context):
        raise BadArgument(
            f"beside the model there is memory for {context} tokens of a text, and an answer needs "
            f"{LEAST}: end what uses it, or take a smaller or a quantised model"
        )
    return context


def _remarks(context: int | None, on_gpu: bool) -> list[str]:
    said = []
    if context and context < NEEDED:
        said.append(
            f"it reads {context} tokens, passages of {NEEDED} are asked for by default: ask with "
            f"Settings(budget={max(256, context - 2_192)})"
        )
    if not on_gpu:
        said.append("without a GPU, answers take minutes with a model of billions of parameters")
    return said


def _argument(name: str, value: Any) -> list[str]:
    """An option as the command line has it."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    return [flag, json.dumps(value) if isinstance(value, dict) else str(value)]


def _hundredths(share: float) -> float:
    return int(share * 100) / 100


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"
