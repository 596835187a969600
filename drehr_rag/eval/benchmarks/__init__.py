"""Benchmarks: one module each, with `load(place, **options)` that gives a `Task`.

A new benchmark is one file here, or an entry point of the group `drehr_rag.eval.benchmarks`.
"""

from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from drehr_rag._registry import check_options, find
from drehr_rag.errors import EvaluationError
from drehr_rag.eval.task import Task

__all__ = ["load_benchmark"]


def load_benchmark(name: str, place: str | Path | None = None, **options: Any) -> Task:
    """Load a benchmark.

    Args:
        name: `cliniq`, `beir`, `devset`, `ward`, or a third party's.
        place: Its folder; `ward` needs none.
        options: The benchmark's own, e.g. `split="dev"` of `beir`.

    Raises:
        UnknownName: No benchmark, or no option of it, has this name.
        EvaluationError: Its files are missing, damaged or do not fit each other.
    """
    load = find(__name__, name).load
    check_options(f"the benchmark {name}", load, options, given=("place",))
    if "place" not in signature(load).parameters:
        if place is not None:
            raise EvaluationError(f"the benchmark {name} is in the package: it takes no folder")
        return _remembered(load(**options), name, None, options)
    if place is None:
        raise EvaluationError(f"the benchmark {name} needs the folder that it lies in")
    return _remembered(load(Path(place), **options), name, str(place), options)


def _remembered(task: Task, name: str, place: str | None, options: dict[str, Any]) -> Task:
    """With how to load it again among its facts, for whoever wants a passage's text later."""
    again = {"name": name, "place": place, "options": options}
    return replace(task, facts={**task.facts, "loaded": again})
