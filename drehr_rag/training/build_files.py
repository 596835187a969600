"""The files beside a build's output, and whether the build has come to its end."""

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from drehr_rag import __version__
from drehr_rag._files import opened, written
from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.journal import differences


def beside(output: Path, ending: str) -> Path:
    """A further file of a build: `NAME.manifest.json` of `NAME.jsonl.gz`.

    Raises:
        BadArgument: The output's name does not end in .jsonl or .jsonl.gz.
    """
    stem = output.name.removesuffix(".gz")
    if not stem.endswith(".jsonl") or stem == ".jsonl":
        raise BadArgument(f"the output is NAME.jsonl or NAME.jsonl.gz, not {output.name!r}")
    return output.with_name(stem.removesuffix(".jsonl") + ending)


def known_by_of(settings: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    """What a build is known by, as it comes back from a file: there, a tuple is a list.

    Raises:
        BadArgument: The settings hold something that is no JSON value.
    """
    given = {"drehr_rag": __version__, "settings": dict(settings), "sources": dict(sources)}
    try:
        known_by: dict[str, Any] = json.loads(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError):
        raise BadArgument("the settings hold something that is no JSON value") from None
    return known_by


def finished(output: Path, known_by: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of a build that has come to its end; None if there is none.

    Raises:
        TrainingError: The output is there, and is not of this build.
    """
    place = beside(output, ".manifest.json")
    if beside(output, ".journal").exists() or not output.exists():
        return None
    if not place.exists():
        raise TrainingError(f"{output} is there, without {place.name}: name another output")
    manifest = read_json(place)
    there = {name: manifest.get(name) for name in known_by}
    if there != known_by:
        raise TrainingError(
            f"{output} was built with other settings or notes ({differences(there, known_by)}): "
            "name another output, or delete it"
        )
    return manifest


def write_examples(output: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """The examples of a journal's entries.

    Raises:
        TrainingError: The file cannot be written.
    """
    with written(output, error=TrainingError) as file:
        for entry in entries:
            if entry["example"] is not None:
                file.write(json.dumps(entry["example"], ensure_ascii=False) + "\n")


def write_failures(output: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Id and reason of what failed; no file if nothing did.

    Raises:
        TrainingError: The file cannot be written.
    """
    place = beside(output, ".failures.jsonl")
    place.unlink(missing_ok=True)
    rows = ({"idx": entry["idx"], "reason": why} for entry in entries for why in entry["failures"])
    if (first := next(rows, None)) is None:
        return
    with written(place, error=TrainingError) as file:
        for row in chain([first], rows):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object that a file holds, such as a manifest.

    Raises:
        TrainingError: It is none.
    """
    with opened(file, error=TrainingError) as stream:
        try:
            found = json.load(stream)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise TrainingError(f"{file} is no manifest: it holds no JSON object")
    return found
