"""Beside the answers: what set, chain and versions; answers of no other are appended to them."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drehr_rag import __version__
from drehr_rag.errors import BadArgument, EvaluationError
from drehr_rag.eval.qa.chain import Chain
from drehr_rag.eval.qa.files import read_json, write_json
from drehr_rag.eval.qa.jsonl import checksum
from drehr_rag.eval.qa.records import Question

NAME = "manifest.json"

FORMAT = 1
"""Of the folder's files; raised when an older run cannot be continued."""

LONGEST = 40
"""Characters of a value in a message: a checksum is known by its first."""

DECIDING = ("format", "drehr_rag", "set", "chain", "seed")
"""What must be the same for a run to go on."""


def manifest_of(
    chain: Chain, questions: Sequence[Question], *, name: str, seed: int
) -> dict[str, Any]:
    """What a run of this chain over these questions is known by."""
    return {
        "format": FORMAT,
        "drehr_rag": __version__,
        "set": {"name": name, "questions": len(questions), "sha256": checksum(questions)},
        "chain": _as_json(chain.settings),
        "seed": seed,
        "python": platform.python_version(),
        "commands": [],
    }


def _as_json(settings: Mapping[str, Any]) -> Any:
    """As they come back from the file: a tuple is a list there, and would look like another run."""
    try:
        return json.loads(json.dumps(dict(settings), allow_nan=False))
    except (TypeError, ValueError):
        raise BadArgument("the chain's settings hold something that is no JSON value") from None


def settle(folder: Path, manifest: Mapping[str, Any], *, answers: Path, command: str) -> None:
    """Write the manifest, or check that the run found there is this one.

    Raises:
        EvaluationError: The folder holds answers of another set, chain or version.
    """
    place = folder / NAME
    if place.exists():
        there = read_json(place)
        _check(there, manifest, folder)
        commands = list(there.get("commands", []))
    elif answers.exists():
        raise EvaluationError(f"{answers} has no {NAME} beside it: name another folder")
    else:
        commands = []
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(place, {**manifest, "commands": [*commands, {"at": now, "command": command}]})


def _check(there: Any, here: Mapping[str, Any], folder: Path) -> None:
    if not isinstance(there, dict):
        raise EvaluationError(f"{folder / NAME} is no manifest: name another folder")
    differ = [name for name in DECIDING if there.get(name) != here[name]]
    if differ:
        told = "; ".join(_told(name, there.get(name), here[name]) for name in differ)
        raise EvaluationError(
            f"{folder} holds another run: {told}. Name another folder, or remove this one"
        )


def _told(name: str, there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        parts = sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))
        return ", ".join(_told(f"{name} {part}", there.get(part), here.get(part)) for part in parts)
    return f"{name}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
