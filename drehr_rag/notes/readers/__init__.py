"""Files to notes: one module a format, each with `recognise` and `read`."""

from collections.abc import Iterator
from pathlib import Path

from drehr_rag._registry import find, names
from drehr_rag.errors import NoNotes, NoteError, UnknownName
from drehr_rag.notes.readers._fields import Fields
from drehr_rag.notes.readers._open import head
from drehr_rag.types import Note, Reject

WITHOUT_COLUMNS = ("fhir", "text")
"""Formats whose fields have a place of their own, so that none can be mapped."""

ORDER = ("fhir", "mimic3", "mimic4", "text", "csv", "jsonl")
"""Formats are tried from the most to the least particular; others come first."""

__all__ = ["Fields", "read_notes", "recognise"]


def recognise(path: Path) -> str:
    """The name of the format that a file or folder is in.

    Raises:
        NoteError: There is no such file, or it is a pipe, which cannot be read twice.
        UnknownName: No reader knows it.
    """
    if not path.exists():
        raise NoteError(f"there is no file or folder {path}")
    if path.is_fifo():
        raise NoteError(
            f"{path} is a pipe, so its format cannot be told: name it (--format, or format=…)"
        )
    start = "" if path.is_dir() else head(path)
    known = names(__name__)
    for name in [n for n in known if n not in ORDER] + [n for n in ORDER if n in known]:
        if find(__name__, name).recognise(path, start):
            return name
    raise UnknownName(f"cannot tell the format of {path}: give one of {', '.join(known)}")


def read_notes(
    path: str | Path, *, format: str | None = None, fields: Fields | None = None
) -> Iterator[Note | Reject]:
    """Every note of a file or folder, as a stream, and a `Reject` for each that is unreadable.

    Args:
        path: Plain or gzipped.
        format: A reader's name; without it the format is recognised.
        fields: Which column holds which field of a note.

    Raises:
        NoteError: The file is missing or damaged.
        NoNotes: It holds not one row.
        UnknownName: No reader, or no column, has this name.
    """
    place = Path(path)
    if not place.exists():
        raise NoteError(f"there is no file or folder {place}")
    name = format or recognise(place)
    reader = find(__name__, name)
    if name in WITHOUT_COLUMNS and fields and (fields.columns or fields.metadata):
        raise UnknownName(f"{place} is {name}, which has no columns: leave the mapping out")
    rows = 0
    for row in reader.read(place, fields or Fields()):
        rows += 1
        yield row
    if not rows:
        raise NoNotes(f"{place} holds no note")
