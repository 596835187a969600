"""The files that a build reads, by name and checksum: two of one name in two folders stay two."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from drehr_rag._files import checksum
from drehr_rag.errors import TrainingError


def checksums(sources: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each source by its name; of a folder, over the names and sums of its files.

    Raises:
        TrainingError: One is not there, or cannot be read.
    """
    files = list(sources)
    names = apart(file.name for file in files)
    return {name: _checksum(file) for name, file in zip(names, files, strict=True)}


def apart(names: Iterable[str]) -> list[str]:
    """Every name, the second of a kind as `NAME (2)`."""
    found: dict[str, None] = {}
    for given in names:
        name, number = given, 1
        while name in found:
            number += 1
            name = f"{given} ({number})"
        found[name] = None
    return list(found)


def _checksum(source: Path) -> str:
    try:
        return _of_folder(source) if source.is_dir() else checksum(source)
    except OSError as problem:
        raise TrainingError(f"{source} cannot be read: {problem.strerror}") from None


def _of_folder(folder: Path) -> str:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(folder).as_posix()} {checksum(file)}\n" for file in files]
    return sha256("".join(lines).encode()).hexdigest()
