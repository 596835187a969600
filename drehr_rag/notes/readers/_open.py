"""Open a plain or gzipped text file as lines, and find bytes that are not text."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from drehr_rag.errors import NoteError


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unzipped if it is gzipped (by its first bytes, not its name).

    A pipe will do: nothing is read twice.

    Raises:
        NoteError: There is no such file, or it may not be read.
    """
    try:
        raw = path.open("rb")
    except OSError as problem:
        raise NoteError(f"cannot read {path}: {problem.strerror}") from problem
    gzipped = raw.peek(2).startswith(b"\x1f\x8b")
    return gzip.open(raw) if gzipped else raw  # type: ignore[return-value]


def head(path: Path, size: int = 4096) -> str:
    """The first characters of the file, undecodable bytes replaced."""
    with open_bytes(path) as file:
        try:
            return file.read(size).decode("utf-8-sig", errors="replace")
        except (OSError, EOFError, zlib.error) as problem:
            raise NoteError(f"cannot unzip {path}: {problem}") from problem


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line numbers from 1, and lines.

    Raises:
        NoteError: The gzip stream breaks off; the lines before it have been given.
    """
    with open_bytes(path) as file:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        except (OSError, EOFError, zlib.error) as problem:
            raise NoteError(f"{path} is damaged after line {number}: {problem}") from problem
