"""JSON Lines: one note a line."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from drehr_rag.notes.readers._fields import Fields
from drehr_rag.notes.readers._open import byte_lines
from drehr_rag.types import Note, Reject

logger = logging.getLogger(__name__)


def recognise(path: Path, head: str) -> bool:
    """By its name, or by a first line that is a whole JSON object and no FHIR resource."""
    if '"resourceType"' in head:
        return False
    return ".jsonl" in path.name or ".ndjson" in path.name or head.startswith('{"')


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each line as a note; blank lines are passed over."""
    unseen = {*fields.columns.values(), *fields.metadata}
    for number, line in byte_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except UnicodeDecodeError:
            yield Reject(str(path), number, "bytes that are not UTF-8")
            continue
        except (ValueError, RecursionError):
            yield Reject(str(path), number, "broken JSON")
            continue
        if isinstance(row, dict):
            unseen -= row.keys()
            yield fields.note(row, file=str(path), line=number)
        else:
            yield Reject(str(path), number, "not a JSON object")
    if unseen:
        logger.warning("no line of %s has %s", path, ", ".join(sorted(unseen)))
