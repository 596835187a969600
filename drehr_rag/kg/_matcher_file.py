"""The file of a matcher: a line of JSON, then its parts one behind the other."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from drehr_rag.errors import GraphError

SCHEMA = 1


def write_parts(file: Path, facts: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
    """Write facts and parts; an old file is replaced once the new one is whole."""
    lengths = {name: len(part) for name, part in parts.items()}
    header = {"drehr-rag matcher": SCHEMA, **facts, "parts": lengths, "sha256": _sum(parts)}
    fresh = file.with_name(f".{file.name}.new")
    with fresh.open("wb") as out:
        out.write(json.dumps(header).encode() + b"\n")
        out.writelines(parts.values())
    fresh.replace(file)


def read_parts(file: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Facts and parts; the checksum is right, so that nothing else is given to the library.

    Raises:
        GraphError: The file is missing, damaged or of another version.
    """
    try:
        with file.open("rb") as source:
            facts: dict[str, Any] = json.loads(source.readline())
            parts = {name: source.read(length) for name, length in facts["parts"].items()}
        schema, total = facts["drehr-rag matcher"], facts["sha256"]
    except FileNotFoundError:
        raise GraphError(f"there is no file {file}: make it with Matcher.save") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GraphError(f"{file} is no matcher: make it with Matcher.save") from None
    if schema != SCHEMA:
        raise GraphError(f"{file} is of schema {schema}, not {SCHEMA}: save the matcher again")
    if _sum(parts) != total:
        raise GraphError(f"{file} is damaged: save the matcher again")
    return facts, parts


def _sum(parts: Mapping[str, bytes]) -> str:
    digest = sha256()
    for part in parts.values():
        digest.update(part)
    return digest.hexdigest()
