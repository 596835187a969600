"""Text files, plain or gzipped, line by line."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from drehr_rag.errors import GraphError

HEAD = 8_192


@contextmanager
def reading(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """The text of a file, decompressed; UTF-8 unless said, a byte order mark is skipped.

    Raises:
        GraphError: It is missing, damaged or not in this encoding.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        opener = gzip.open if zipped else open
        with opener(path, "rt", encoding=encoding, newline="") as file:
            yield file
    except FileNotFoundError:
        raise GraphError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise GraphError(f"{path} is a folder: name the file in it") from None
    except UnicodeDecodeError as problem:
        raise GraphError(
            f"{path} is not {problem.encoding}: convert it to UTF-8, "
            f"or for an old Windows table say table:{path.name}?encoding=cp1252"
        ) from None
    except LookupError:
        raise GraphError(f"there is no encoding called {encoding!r}: try cp1252") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise GraphError(f"{path} is damaged: {type(problem).__name__}; fetch it again") from None


def head(path: Path) -> str:
    """The first 8,192 characters."""
    with reading(path, "latin-1") as file:
        return file.read(HEAD).removeprefix("\u00ef\u00bb\u00bf")


def plain_name(path: Path) -> str:
    """The file's name in lower case, without `.gz`."""
    return path.name.lower().removesuffix(".gz")
