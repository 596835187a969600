"""Passages' text by chunk id: only for those who asked to see text."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from drehr_rag.errors import EvaluationError
from drehr_rag.eval._files import opened
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.results import Result

Texts = Callable[[Collection[str]], Mapping[str, str]]
"""Chunk ids → text of those that are known."""


def read_passages(path: str | Path, wanted: Collection[str]) -> dict[str, str]:
    """The texts of the wanted chunks, from lines `{"_id": …, "text": …}`, plain or gzipped.

    Raises:
        EvaluationError: A line is not of that form (it is not shown), or none is wanted.
    """
    file, wanted = Path(path), set(wanted)
    found: dict[str, str] = {}
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                chunk, text = _row(line, file, number)
                if chunk in wanted:
                    found[chunk] = text
    if wanted and not found:
        raise EvaluationError(
            f"{file} has none of the {len(wanted):,} chunks to be shown: other passages?"
        )
    return found


def passages_of(result: Result, wanted: Collection[str]) -> dict[str, str]:
    """The texts of the wanted chunks, from the benchmark that the result is of.

    Raises:
        EvaluationError: The result does not say how its benchmark was loaded, or it is another now.
    """
    how = result.manifest.get("benchmark", {}).get("loaded")
    if not how:
        raise EvaluationError(
            f"the result {result.name} does not say where its passages are: name a file of them"
        )
    task = load_benchmark(how["name"], how["place"], **how["options"])
    if task.facts.get("data") != result.manifest["benchmark"].get("data"):
        raise EvaluationError(f"the files of {task.name} have changed since {result.name} was made")
    return {chunk: task.passages[chunk].text for chunk in wanted if chunk in task.passages}


def _row(line: str, file: Path, number: int) -> tuple[str, str]:
    try:
        row = json.loads(line)
        chunk, text = row["_id"], row["text"]
        if isinstance(chunk, str) and isinstance(text, str):
            return chunk, text
    except (ValueError, KeyError, TypeError):
        pass
    raise EvaluationError(f'{file}:{number}: not of the form {{"_id": "…", "text": "…"}}')
