"""The file of a matcher: its parts one behind the other, then JSON that says where each is.

```text
part │ part │ … │ {"drehr-rag matcher": 2, …, "parts": {name: bytes}} │ length of the JSON, 8 bytes
```

Parts are written and read one at a time: those of a large graph take gigabytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from drehr_rag.errors import GraphError

SCHEMA = 2
TAIL = 8
BLOCK = 1 << 24


def write_parts(file: Path, facts: Mapping[str, Any], parts: Iterable[tuple[str, bytes]]) -> None:
    """Write facts and parts; an old file is replaced once the new one is whole."""
    fresh = file.with_name(f".{file.name}.new")
    lengths, digest = {}, sha256()
    try:
        with fresh.open("wb") as out:
            for name, part in parts:
                lengths[name] = len(part)
                digest.update(part)
                out.write(part)
            told = {"drehr-rag matcher": SCHEMA, **facts}
            told |= {"parts": lengths, "sha256": digest.hexdigest()}
            line = json.dumps(told).encode()
            out.write(line + len(line).to_bytes(TAIL))
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Parts:
    """A matcher's file whose checksum is right, so that nothing else is given to the library.

    Attributes:
        file: Where it lies.
        facts: What was written with the parts.
        lengths: Bytes of each part, in order.
    """

    file: Path
    facts: dict[str, Any]
    lengths: dict[str, int]

    def read(self, name: str) -> bytes:
        """A part.

        Raises:
            GraphError: There is none of this name.
        """
        if name not in self.lengths:
            raise GraphError(f"{self.file} has no part {name}: save the matcher again")
        names = list(self.lengths)
        before = sum(self.lengths[one] for one in names[: names.index(name)])
        with self.file.open("rb") as source:
            source.seek(before)
            return source.read(self.lengths[name])


def open_parts(file: Path) -> Parts:
    """Facts and parts.

    Raises:
        GraphError: The file is missing, damaged or of another version.
    """
    try:
        with file.open("rb") as source:
            facts, size = _facts(source)
            parts, total, schema = facts.pop("parts"), facts["sha256"], facts["drehr-rag matcher"]
            if schema == SCHEMA and (sum(parts.values()) != size or _sum(source, size) != total):
                raise GraphError(f"{file} is damaged: save the matcher again")
    except FileNotFoundError:
        raise GraphError(f"there is no file {file}: make it with Matcher.save") from None
    except GraphError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise GraphError(f"{file} is no matcher, or damaged: make it with Matcher.save") from None
    if schema != SCHEMA:
        raise GraphError(f"{file} is of schema {schema}, not {SCHEMA}: save the matcher again")
    return Parts(file, facts, parts)


def _facts(source: BinaryIO) -> tuple[dict[str, Any], int]:
    """The JSON, and how many bytes stand before it."""
    end = source.seek(0, 2) - TAIL
    source.seek(max(end, 0))
    begin = end - int.from_bytes(source.read(TAIL))
    if begin < 0:
        raise ValueError("no room for what it says")
    source.seek(begin)
    facts: dict[str, Any] = json.loads(source.read(end - begin))
    return facts, begin


def _sum(source: BinaryIO, size: int) -> str:
    digest = sha256()
    source.seek(0)
    while size and (block := source.read(min(BLOCK, size))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
