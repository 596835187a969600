"""The folder that a graph lies in: numpy arrays that are mapped, and a manifest."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from drehr_rag._files import checksum
from drehr_rag.errors import GraphError
from drehr_rag.kg._csr import Csr, Ints
from drehr_rag.kg._texts import Texts

SCHEMA = 1
MANIFEST = "manifest.json"


def put_csr(folder: Path, name: str, rows: Csr) -> None:
    """Write rows of numbers."""
    for part, values in rows._asdict().items():
        if values is not None:
            np.save(folder / f"{name}.{part}.npy", _narrow(part, values))


def put_texts(folder: Path, name: str, texts: Texts) -> None:
    """Write texts."""
    for part, values in texts._asdict().items():
        if not (folder / f"{name}.{part}.npy").exists():
            np.save(folder / f"{name}.{part}.npy", _narrow(part, values))


def get_csr(folder: Path, name: str, *, labelled: bool = False) -> Csr:
    """Map rows of numbers."""
    labels = _array(folder, f"{name}.labels") if labelled else None
    return Csr(_array(folder, f"{name}.starts"), _array(folder, f"{name}.values"), labels)


def get_texts(folder: Path, name: str) -> Texts:
    """Map texts."""
    return Texts(*(_array(folder, f"{name}.{part}") for part in Texts._fields))


def get_owner(folder: Path) -> Ints:
    """Map the concept that each id belongs to, uint32."""
    return _array(folder, "ids.owner")


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest, with the size and checksum of every other file."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": checksum(path)}
        for path in sorted(folder.glob("*.npy"))
    }
    content = {"schema": SCHEMA, **facts, "files": files}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, "utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest; every file that it names is there, at its length.

    Raises:
        GraphError: There is no graph here, or it is damaged, or of another version.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        schema, files = facts["schema"], facts["files"]
    except (FileNotFoundError, NotADirectoryError):
        raise GraphError(f"{folder} holds no graph: make one with drehr-rag kg build") from None
    except (ValueError, KeyError, TypeError):
        raise GraphError(f"{folder / MANIFEST} is broken: build the graph again") from None
    if schema != SCHEMA:
        raise GraphError(f"{folder} is of schema {schema}, not {SCHEMA}: build the graph again")
    for name, fact in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != fact["bytes"]:
            raise GraphError(f"{path} is missing or cut short: build the graph again")
    return facts


def damaged(folder: Path, facts: Mapping[str, Any]) -> list[str]:
    """Names of the files whose content is not what was written."""
    return [n for n, fact in facts["files"].items() if checksum(folder / n) != fact["sha256"]]


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write in, which becomes `target` if all goes well, in the place of an old graph.

    Raises:
        GraphError: Something lies at `target` that is no graph.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        raise GraphError(f"{target} is there and is no graph: give another place, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield folder
        if target.exists():
            shutil.rmtree(target)
        folder.chmod(0o777 & ~_umask())
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _narrow(part: str, values: Ints) -> Ints:
    """Places below four thousand million need half the bytes."""
    small = part == "starts" and values[-1] < 2**32
    return values.astype(np.uint32) if small else values


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _array(folder: Path, name: str) -> Ints:
    path = folder / f"{name}.npy"
    try:
        mapped = np.load(path, mmap_mode="r")
    except (ValueError, OSError) as problem:
        reason = type(problem).__name__
        raise GraphError(f"{path} cannot be read ({reason}): build the graph again") from None
    array: Ints = mapped.view(np.ndarray)  # as mapped as before, but a row costs half the time
    return array
