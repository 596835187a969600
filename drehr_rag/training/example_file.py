"""A file of examples read one by one from the disk, so that millions do not need the memory."""

import os
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, overload

import numpy as np

from drehr_rag.errors import NoteError, TrainingError
from drehr_rag.notes.readers._open import byte_lines, open_bytes
from drehr_rag.training.examples import Example, example_of
from drehr_rag.types import Reject


class ExampleFile(Sequence[Example]):
    """The examples of a JSON Lines file, each read when it is asked for.

    A gzipped file is unpacked into the temporary folder, without a name there; a plain one stays
    where it is and must not change meanwhile.

    Args:
        file: As `write_examples` makes it. Every line is checked once.

    Raises:
        TrainingError: It cannot be read, a line cannot be used, or it holds no example.
    """

    def __init__(self, file: str | Path) -> None:
        """Check every line and keep where it stands."""
        self.file = Path(file)
        try:
            self._raw, zipped = _raw(self.file)
            starts = self._places(copied=zipped)
        except NoteError as problem:
            raise TrainingError(str(problem)) from None
        if not len(starts):
            raise TrainingError(f"{file} holds no example: nothing to train on")
        self._starts = starts

    def __len__(self) -> int:
        """How many."""
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        """The example at a place; safe to call from several processes."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        start, length, number = self._starts[place]
        line = os.pread(self._raw.fileno(), int(length), int(start))
        return self._checked(line, int(number))

    def _places(self, *, copied: bool) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Start, length and line number of each example."""
        found = array("q")  # numbers alone: a list of tuples takes eight times the memory
        start = 0
        for number, line in byte_lines(self.file):
            if not copied and number == 1 and os.pread(self._raw.fileno(), 3, 0) == b"\xef\xbb\xbf":
                start = 3
            if copied:
                self._copy(line)
            if line.strip():
                self._checked(line, number)
                found.extend((start, len(line), number))
            start += len(line)
        if copied:
            self._copy(b"")
        return np.frombuffer(found, np.int64).reshape(-1, 3)

    def _copy(self, line: bytes) -> None:
        """Into the temporary file; without a line, what is still on its way there."""
        try:
            self._raw.write(line)
            if not line:
                self._raw.flush()
        except OSError as problem:
            raise TrainingError(
                f"{self.file} cannot be unpacked into {tempfile.gettempdir()}: {problem.strerror}; "
                "TMPDIR names another folder, and a file that is not gzipped needs none"
            ) from None

    def _checked(self, line: bytes, number: int) -> Example:
        read = example_of(line, str(self.file), number)
        if isinstance(read, Reject):
            raise TrainingError(f"{self.file}:{number}: {read.reason}")
        return read


def _raw(file: Path) -> tuple[IO[bytes], bool]:
    """What lines are read from later, and whether it is a copy, still empty."""
    with open_bytes(file) as opened:
        zipped = not hasattr(opened, "raw")  # gzip's file has none
    return (tempfile.TemporaryFile(), True) if zipped else (file.open("rb"), False)
