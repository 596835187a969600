"""Where a store is, noted beside what `StorageContext.persist` writes; its notes stay in it."""

import json
from pathlib import Path
from typing import Any

import fsspec

from drehr_rag.errors import StoreError

POINTER = "drehr_store.json"
"""Not the name that LlamaIndex gives: it would read the file as an empty store of its own."""

Files = Any
"""A file system of fsspec, as `StorageContext` hands it on."""


def note_place(location: str, persist_path: str, fs: Files | None) -> None:
    """Write down the location; a folder by its whole path.

    Raises:
        StoreError: The store is in memory.
    """
    if location == ":memory:":
        raise StoreError(
            "a store in memory is gone with the process and cannot be saved: open it in a "
            'folder, DrEhrVectorStore.open("ehr.idx", ...)'
        )
    place = location if "://" in location else str(Path(location).resolve())
    with _files(fs).open(_pointer(persist_path), "w") as file:
        json.dump({"location": place}, file)


def noted_place(persist_path: str, fs: Files | None) -> str:
    """The location that was written down.

    Raises:
        StoreError: None was.
    """
    try:
        with _files(fs).open(_pointer(persist_path), "r") as file:
            location: str = json.load(file)["location"]
    except (OSError, ValueError, KeyError):
        raise StoreError(f"no {POINTER} beside {persist_path}: persist it first") from None
    return location


def _files(fs: Files | None) -> Files:
    return fs or fsspec.filesystem("file", auto_mkdir=True)


def _pointer(persist_path: str) -> str:
    return persist_path.replace("vector_store.json", "") + POINTER
