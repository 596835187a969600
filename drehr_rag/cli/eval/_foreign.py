"""A run by somebody else's retriever, named as `module:function`."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from drehr_rag.errors import BadArgument
from drehr_rag.eval.runs import Run
from drehr_rag.eval.task import Task

FRAMEWORKS = {"langchain_core": "langchain", "llama_index": "llama_index"}


def foreign_run(where: str, task: Task) -> tuple[Run, dict[str, Any]]:
    """Call the function with the task; ask what it gives for every query.

    Args:
        where: `module:function`; modules of the current folder are found too.
        task: The benchmark, whose passages the function indexes as it likes.

    Raises:
        BadArgument: There is no such function, or it gives nothing that can be asked.
    """
    module, colon, function = where.partition(":")
    if not colon or not module or not function:
        raise BadArgument(f"--retriever takes MODULE:FUNCTION, not {where!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        build = getattr(import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as problem:
        raise BadArgument(f"--retriever {where}: {problem}") from None
    finally:
        sys.path.pop(0)
    given = build(task)
    if isinstance(given, Mapping):
        return given, {"retriever": where, "gives": "a run"}
    kinds = {base.__module__.split(".")[0] for base in type(given).__mro__}
    for package, ours in FRAMEWORKS.items():
        if package in kinds:
            edge = import_module(f"drehr_rag.integrations.{ours}.evaluation")
            run = edge.run_of(given, task)
            deepest = max((len(scores) for scores in run.values()), default=0)
            return run, {"retriever": where, "gives": ours, "deepest": deepest}
    raise BadArgument(
        f"--retriever {where} gives a {type(given).__name__}: it must be a LangChain or LlamaIndex "
        "retriever, or a run {query: {chunk: score}}"
    )
