"""What a training was made of: in its folder from the first step on, so that it can be resumed."""

import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from drehr_rag import __version__
from drehr_rag._files import checksum, written
from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.base_model import base_of, place_of
from drehr_rag.training.build_files import beside, read_json
from drehr_rag.training.settings import Settings

FILE = "training_manifest.json"
LOG = "log.jsonl"

DECISIVE = ("model", "weights", "settings", "examples", "processes", "evaluated_on", "guard")
"""What must be the same for a training to go on, or to be the one that was asked for."""

PACKAGES = ("torch", "transformers", "accelerate", "peft", "sentence-transformers", "numpy")


def manifest_of(
    model: str, files: Sequence[tuple[Path, float, int]], settings: Settings, *, processes: int
) -> dict[str, Any]:
    """Model, settings, examples with their checksums, versions.

    Args:
        model: The name it was loaded by.
        files: File, weight and number of examples.
        settings: All of them.
        processes: That train together.
    """
    made = {
        "state": "running",
        "model": model,
        "base": base_of(model, _trained(model)),
        "settings": asdict(settings),
        "examples": [
            {
                "file": file.name,
                "sha256": checksum(file),
                "examples": count,
                "weight": weight,
                "manifest": build_manifest(file),
            }
            for file, weight, count in files
        ],
        "processes": processes,
        "versions": {
            "drehr-rag": __version__,
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
        "loss_curve": LOG,
    }
    plain: dict[str, Any] = json.loads(json.dumps(made))
    return plain


def build_manifest(file: Path) -> dict[str, Any] | None:
    """The manifest of a file of examples: `X.manifest.json` beside `X.jsonl.gz`, if it is there."""
    places = [file.with_name(f"{file.name}.manifest.json")]
    with suppress(BadArgument):  # another name than a build's
        places.append(beside(file, ".manifest.json"))
    return next((read_json(place) for place in places if place.is_file()), None)


def _trained(model: str) -> dict[str, Any] | None:
    """The manifest in the model's folder, if it was trained here."""
    there = Path(place_of(model)) / FILE
    return read_json(there) if there.is_file() else None


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Whole, or as it was.

    Raises:
        TrainingError: It cannot be written.
    """
    with written(folder / FILE, error=TrainingError) as stream:
        json.dump(manifest, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a training in this folder was made of.

    Raises:
        TrainingError: There is none, or it is damaged.
    """
    if not (folder / FILE).is_file():
        raise TrainingError(f"{folder} holds no training: there is no {FILE}")
    return read_json(folder / FILE)


def same_training(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with something else.

    Raises:
        TrainingError: The model or its weights, settings, examples, what is evaluated or held out,
            or the number of processes differ; it says which.
    """
    for name in DECISIVE:
        if before.get(name) == now.get(name):
            continue
        what = name.replace("_", " ")
        if isinstance(now[name], dict) and isinstance(before.get(name), dict):
            keys = [k for k in now[name] if before[name].get(k) != now[name][k]]
            what = f"{name} ({', '.join(keys)})"
        raise TrainingError(
            f"the training in {folder} was begun with other {what}: it goes on with the same; for "
            "another name a new folder, or delete this one"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
