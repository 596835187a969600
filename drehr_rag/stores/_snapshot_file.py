"""A folder as one file and back: whole or not at all, readable by its owner only."""

import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import BinaryIO

from drehr_rag.errors import StoreDamaged, StoreError

SUM = "sha256"
"""The last entry of a snapshot: the checksum of all before it."""


@contextmanager
def fresh(file: Path) -> Iterator[BinaryIO]:
    """Where to write what becomes `file` when all of it is written.

    It lies beside the file under a name that nobody has, and is gone if anything fails.

    Raises:
        StoreError: The file exists, its folder does not, or it cannot be written.
    """
    if file.exists():
        raise StoreError(f"{file} exists: name a new file")
    if not file.absolute().parent.is_dir():
        raise StoreError(f"there is no folder {file.parent} to write {file.name} into")
    try:
        handle, name = mkstemp(prefix=f"{file.name}.", suffix=".part", dir=file.absolute().parent)
        try:
            with os.fdopen(handle, "w+b") as raw:
                yield raw
            Path(name).rename(file)
        finally:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)
    except OSError as problem:
        raise StoreError(f"cannot write {file}: {problem.strerror}") from None


def pack(folder: Path, names: Sequence[str], file: Path) -> None:
    """Write these of a folder's entries into one file, and their checksum.

    Raises:
        StoreError: The file exists or cannot be written.
    """
    with fresh(file) as raw, tarfile.open(fileobj=raw, mode="w") as archive:
        for name in names:
            archive.add(folder / name, arcname=name)
        seal(archive, raw)


def seal(archive: tarfile.TarFile, raw: BinaryIO) -> None:
    """Add the checksum, as the last entry."""
    end = archive.offset
    content = _sum(raw, end).encode()
    raw.seek(end)
    entry = tarfile.TarInfo(SUM)
    entry.size = len(content)
    archive.addfile(entry, BytesIO(content))


def unpack(file: Path, folder: Path, *, needed: Sequence[str]) -> None:
    """Make a folder from such a file.

    Raises:
        StoreError: The folder exists, or the file is none that `pack` wrote.
        StoreDamaged: The file has changed since `pack` wrote it.
    """
    folder = folder.absolute()
    if folder == Path.cwd() or (folder.exists() and any(_inside(folder))):
        raise StoreError(f"{folder} exists: name a new folder")
    part = None
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:") as archive:
            *entries, last = archive.getmembers()
            if last.name != SUM or not {_top(entry) for entry in entries}.issuperset(needed):
                raise StoreError(
                    f"{file} is no snapshot of a store in a folder, or not a whole one"
                )
            held = archive.extractfile(last)
            if held is None or held.read() != _sum(raw, last.offset).encode():
                raise StoreDamaged(
                    f"the snapshot {file} has changed since it was written (its checksum differs): "
                    f"restore another copy of it"
                )
            archive.extractall(part, entries, filter="data")
        part.rename(folder)  # in the place of an empty one too
    except (tarfile.TarError, EOFError, ValueError):
        raise StoreError(f"{file} is no snapshot, or not a whole one") from None
    except OSError as problem:
        raise StoreError(f"cannot restore {file}: {problem.strerror}") from None
    finally:
        if part:
            shutil.rmtree(part, ignore_errors=True)


def _inside(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter([folder])


def _top(entry: tarfile.TarInfo) -> str:
    return entry.name.split("/")[0]


def _sum(raw: BinaryIO, length: int) -> str:
    """SHA-256 of the first bytes of a file."""
    digest = sha256()
    raw.seek(0)
    while length and (block := raw.read(min(length, 2**20))):
        digest.update(block)
        length -= len(block)
    return digest.hexdigest()
