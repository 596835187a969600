"""What a step made, so that it can be seen whether it changed, and taken away for another."""

import shutil
from pathlib import Path

from drehr_rag.errors import TrainingError
from drehr_rag.training.build_files import beside
from drehr_rag.training.manifest import FILE

BUILDS = {("train", "build-stage1"), ("train", "build-stage2")}
TRAININGS = {("train", "stage1"), ("train", "stage2")}

ENDINGS = (".manifest.json", ".failures.jsonl", ".rejects.jsonl", ".journal")
"""Of the files beside a build's output."""


def stamp(place: Path | None) -> list[list[str | int]] | None:
    """Name, size and time of a file, or of every file of a folder; None if it is not there."""
    if place is None or not place.exists():
        return None
    files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
    states = [(str(file.relative_to(place.parent)), file.stat()) for file in files]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]


def decides_itself(words: tuple[str, ...]) -> bool:
    """Whether a command knows what it did: it goes on, or does nothing, when asked again."""
    return words in BUILDS | TRAININGS


def begun(words: tuple[str, ...], made: Path | None) -> bool:
    """Whether something is there of what the step makes: a step with nothing begins anew."""
    if made is None:
        return False
    beginnings = [beside(made, ENDINGS[-1])] if words in BUILDS else []
    return any(place.exists() for place in (made, *beginnings))


def take_away(words: tuple[str, ...], made: Path | None) -> None:
    """Delete what a build or a training made; other commands replace their output themselves.

    Raises:
        TrainingError: It is there, and no such thing; or it cannot be deleted.
    """
    if made is None:
        return
    try:
        if words in BUILDS:
            _take_build(made)
        elif words in TRAININGS and made.exists():
            _take_training(made)
    except OSError as problem:
        raise TrainingError(f"{made} cannot be deleted: {problem.strerror}") from None


def _take_build(output: Path) -> None:
    files = [beside(output, ending) for ending in ENDINGS]
    known = files[0].is_file() or files[-1].is_file()
    if output.exists() and not known:
        raise TrainingError(f"{output} is of no build, as no {files[0].name} is there: delete it")
    for file in (output, *files) if known else ():
        file.unlink(missing_ok=True)


def _take_training(folder: Path) -> None:
    if not (folder / FILE).is_file():
        raise TrainingError(f"{folder} holds no training, as no {FILE} is there: delete it")
    shutil.rmtree(folder)
