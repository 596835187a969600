"""Files that may hold note text: readable by their owner only, checked as they are read."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from drehr_rag.errors import EvaluationError
from drehr_rag.eval._files import written


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        EvaluationError: It cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as problem:
        raise EvaluationError(f"cannot read {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise EvaluationError(f"{path} is not UTF-8: convert it with iconv -t UTF-8") from None


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        EvaluationError: It cannot be read, or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the message of json would show what stands there
        raise EvaluationError(f"{path} is not JSON: it may be cut off, or another file") from None


def json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Number and content of each line that is not blank; None for one that is no JSON object."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield number, row if isinstance(row, dict) else None


def private(path: Path, *, append: bool = False) -> IO[str]:
    """The file opened for writing; a new one only its owner may read.

    Raises:
        EvaluationError: It cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    try:
        return os.fdopen(os.open(path, flags, 0o600), "a" if append else "w", encoding="utf-8")
    except OSError as problem:
        raise EvaluationError(f"cannot write {path}: {problem.strerror}") from None


def write_whole(path: Path, text: str) -> None:
    """Replace the file in one step, so that a kill leaves the old one or the new one."""
    with written(path) as file:
        file.write(text)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Likewise, as JSON."""
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def drop_half_line(path: Path) -> None:
    """Cut off what follows the last line break: the line that a kill left half written."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def sha256(text: str) -> str:
    """The checksum of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
