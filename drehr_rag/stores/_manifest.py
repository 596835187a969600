"""Read and check what a store remembers of how it was made."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drehr_rag.errors import BadArgument, StoreDamaged, StoreOutdated
from drehr_rag.stores._options import layout_of
from drehr_rag.stores._payload import SCHEMA


def checked(manifest: object, place: str) -> dict[str, Any]:
    """The manifest, if this version can read the store.

    Raises:
        StoreDamaged: It is no manifest.
        StoreOutdated: It is of another schema version.
    """
    if not isinstance(manifest, Mapping) or not isinstance(manifest.get("schema"), int):
        raise StoreDamaged(f"{place} has no readable manifest. {REMEDY}")
    if manifest["schema"] != SCHEMA:
        newer = manifest["schema"] > SCHEMA
        raise StoreOutdated(
            f"{place} has schema {manifest['schema']}, this version reads {SCHEMA}: "
            + (
                "type: pip install --upgrade drehr-rag"
                if newer
                else f"index the notes anew: drehr-rag index NOTES --store {place}.new"
            )
        )
    if not isinstance(manifest.get("dimension"), int):
        raise StoreDamaged(f"{place}: the manifest holds no dimension. {REMEDY}")
    if not _is_layout(manifest):
        raise StoreDamaged(f"{place}: the manifest's layout is broken. {REMEDY}")
    return dict(manifest)


def _is_layout(manifest: Mapping[str, Any]) -> bool:
    try:
        layout_of(manifest)
    except (BadArgument, TypeError):
        return False
    return True


REMEDY = (
    "Restore a snapshot, or put back a copy of the folder, or remove it and index the notes again; "
    "nothing was changed."
)


def read_json(path: Path) -> object:
    """The file's content; None if it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, OSError):
        return None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file in one step, readable by its owner only."""
    temporary = path.with_suffix(".tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=2, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
