"""Files of records: plain or gzipped, written whole or not at all."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from drehr_rag.errors import DrehrError


def checksum(file: Path) -> str:
    """SHA-256 of a file's bytes, as it lies there."""
    digest = sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.load`: an object, unless a name stands in it twice.

    Raises:
        ValueError: One does.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"{len(pairs) - len(found):,} names stand twice in one object")
    return found


@contextmanager
def opened(file: Path, *, error: type[DrehrError]) -> Iterator[IO[str]]:
    """A text file, gzipped or not; what is wrong with it is said by name.

    Raises:
        DrehrError: An `error`: it is not there, or is no UTF-8 text, or is damaged.
    """
    try:
        zipped = _starts(file) == b"\x1f\x8b"
        with gzip.open(file) if zipped else file.open("rb") as raw:
            yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except UnicodeDecodeError:
        raise error(f"{file} is not UTF-8: convert it with iconv -t UTF-8") from None
    except (OSError, EOFError, zlib.error) as problem:
        said = problem.strerror if isinstance(problem, OSError) and problem.strerror else "damaged"
        raise error(f"{file} cannot be read: {said}") from None


@contextmanager
def written(file: Path, *, error: type[DrehrError]) -> Iterator[IO[str]]:
    """A new text file, gzipped if its name says so; whole or not there, and its owner's alone.

    The same text makes the same bytes.

    Raises:
        DrehrError: An `error`: the folder is not there, the disk is full.
    """
    part = file.with_name(file.name + ".part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as raw:
            with ExitStack() as packing:
                bytes_: Any = raw
                if file.suffix == ".gz":
                    bytes_ = packing.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
                with _text(bytes_) as stream:
                    yield stream
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(file)
    except OSError as problem:
        raise error(f"{file} cannot be written: {problem.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _starts(file: Path) -> bytes:
    with file.open("rb") as raw:
        return raw.read(2)


@contextmanager
def _text(raw: Any) -> Iterator[IO[str]]:
    stream = io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    yield stream
    stream.flush()
    stream.detach()
