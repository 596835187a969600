"""What a build has done so far, a line a chunk in the order of the notes: a killed run goes on.

The first line holds what the build is known by. A line that a kill left half written is cut off;
what stands before it is whole, since every line is handed to the system before the next chunk's.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from drehr_rag.errors import TrainingError

BLOCK = 1 << 20
"""Bytes that are read at a time."""

LONGEST = 40
"""Characters of a value in a message: a checksum is known by its first."""


class Journal:
    """A file that grows by whole lines; use it in a `with` statement."""

    def __init__(self, file: Path, header: Mapping[str, Any]) -> None:
        """Open or begin it.

        Args:
            file: Only its owner may read it: it holds note text.
            header: JSON values that another run must share to go on.

        Raises:
            TrainingError: It cannot be written, another process holds it, it is damaged, or it
                was begun with another header.
        """
        self.file = file
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._raw = io.FileIO(handle, "a+")
        except OSError as problem:
            raise TrainingError(f"{file} cannot be written: {problem.strerror}") from None
        try:
            self._lock()
            self._begin(dict(header))
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> "Journal":
        """The journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it; it stays for the run that goes on."""
        self._raw.close()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write one line.

        Raises:
            TrainingError: The disk is full; what was written before is kept.
        """
        left = memoryview((json.dumps(entry, ensure_ascii=False) + "\n").encode())
        try:
            while left:
                left = left[self._raw.write(left) :]
        except OSError as problem:
            raise TrainingError(
                f"{self.file} cannot be written: {problem.strerror}. What is done is kept: make "
                "room and type the command again"
            ) from None

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every whole line but the first, from the beginning.

        Raises:
            TrainingError: One is damaged.
        """
        lines = self._lines()
        next(lines)
        for number, line in enumerate(lines, 2):
            if (entry := _object(line)) is None:
                raise TrainingError(f"{self.file}:{number} is damaged: delete the file, begin anew")
            yield entry

    def remove(self) -> None:
        """When all is done."""
        self.file.unlink()

    def _lines(self) -> Iterator[bytes]:
        """Through the one file object: closing another one of this file would give up the lock."""
        rest, at = b"", 0
        while block := os.pread(self._raw.fileno(), BLOCK, at):
            at += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest

    def _lock(self) -> None:
        with suppress(ImportError):  # not a POSIX system: then nobody looks
            import fcntl

            try:
                fcntl.lockf(self._raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise TrainingError(
                    f"another process is building {self.file}: wait for it, or name another output"
                ) from None

    def _begin(self, header: dict[str, Any]) -> None:
        size = self._whole()
        self._raw.truncate(size)
        if not size:
            self.add(header)
            return
        there = _object(next(self._lines()))
        if there is None:
            raise TrainingError(f"{self.file}:1 is damaged: delete the file, begin anew")
        if there != header:
            raise TrainingError(
                f"{self.file} was begun with other settings or notes ({differences(there, header)})"
                ": give the same again, or delete it to begin anew"
            )

    def _whole(self) -> int:
        """Bytes up to the end of the last whole line."""
        end = begin = 0
        last = b""
        for line in self._lines():
            begin, end, last = end, end + len(line), line
        return end if _object(last) is not None else begin


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What is not the same in two sets of JSON values, by name, for a message."""
    told = []
    for name in sorted(there.keys() | here.keys()):
        old, new = there.get(name), here.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            told.append(differences(old, new))
        else:
            told.append(f"{name}: {_short(old)} there, {_short(new)} here")
    return "; ".join(told)


def _short(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _object(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
