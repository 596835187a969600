"""A folder as one file and back: whole or not at all, readable by its owner only."""

import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from drehr_rag.errors import StoreError


def fresh(file: Path) -> Path:
    """Where to write what shall become `file`, which must not exist yet.

    Raises:
        StoreError: It exists, or its folder does not.
    """
    if file.exists():
        raise StoreError(f"{file} exists: name a new file")
    if not file.absolute().parent.is_dir():
        raise StoreError(f"there is no folder {file.parent} to write {file.name} into")
    return file.with_name(f"{file.name}.part")


def pack(folder: Path, names: Sequence[str], file: Path) -> None:
    """Write these of a folder's entries into one file.

    Raises:
        StoreError: The file exists or cannot be written.
    """
    part = fresh(file)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with (
            os.fdopen(os.open(part, flags, 0o600), "wb") as raw,
            tarfile.open(fileobj=raw, mode="w") as archive,
        ):
            for name in names:
                archive.add(folder / name, arcname=name)
        part.rename(file)
    except OSError as problem:
        raise StoreError(f"cannot write {file}: {problem.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def unpack(file: Path, folder: Path, *, needed: Sequence[str]) -> None:
    """Make a folder from such a file.

    Raises:
        StoreError: The folder exists, or the file is none that `pack` wrote.
    """
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise StoreError(f"{folder} exists: name a new folder")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700, parents=True)
        with tarfile.open(file) as archive:
            names = {name.split("/")[0] for name in archive.getnames()}
            if not names.issuperset(needed):
                raise StoreError(f"{file} is no snapshot of a store in a folder")
            archive.extractall(part, filter="data")
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except (tarfile.TarError, EOFError):
        raise StoreError(f"{file} is no snapshot, or not a whole one") from None
    except OSError as problem:
        raise StoreError(f"cannot restore {file}: {problem.strerror}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
