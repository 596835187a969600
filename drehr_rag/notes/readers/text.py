"""A folder of text files, one note each: `<patient_id>/<any>/<name>.txt`."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from drehr_rag.errors import NoteError
from drehr_rag.notes.readers._fields import Fields
from drehr_rag.notes.readers._open import open_bytes
from drehr_rag.types import Note, Reject

SUFFIXES = (".txt", ".text", ".txt.gz")


def recognise(path: Path, head: str) -> bool:
    """A folder, or one text file."""
    return path.is_dir() or path.name.endswith(SUFFIXES)


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each file as a note.

    The note's id is the path inside the folder, the patient's id the name of the uppermost
    folder on that path. Files that lie in no patient's folder need a constant `patient_id`.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(_visible(path)) if path.is_dir() else [path]
    for file in files:
        if file.name.endswith(SUFFIXES):
            yield _note(file, file.relative_to(root), fields)
        else:
            yield Reject(str(file), None, f"not a text file ({', '.join(SUFFIXES)})")


def _visible(root: Path) -> Iterator[Path]:
    """Files that are not hidden, nor in a hidden folder (.git, ._copies of macOS)."""
    for path in root.rglob("*"):
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts):
            yield path


def _note(file: Path, inside: Path, fields: Fields) -> Note | Reject:
    try:
        with open_bytes(file) as stream:
            text = stream.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        return Reject(str(file), None, "bytes that are not UTF-8")
    except (OSError, EOFError, zlib.error, NoteError) as problem:
        return Reject(str(file), None, f"cannot be read: {type(problem).__name__}")
    row = {"note_id": inside.as_posix(), "text": text}
    if len(inside.parts) > 1:
        row["patient_id"] = inside.parts[0]
    elif "patient_id" not in fields.constants:
        reason = "lies in no patient's folder, and no constant patient_id was given"
        return Reject(str(file), None, reason, inside.as_posix())
    return fields.note(row, file=str(file), line=None)
