"""CSV with a header line; columns are mapped by options."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from drehr_rag.errors import NoteError, UnknownName
from drehr_rag.notes.readers._fields import Fields
from drehr_rag.notes.readers._open import byte_lines
from drehr_rag.types import Note, Reject

NEEDED = ("note_id", "patient_id", "text")
"""Fields of a note that every row must give."""

BAD = "\udc80"
"""Lowest of the code points by which `surrogateescape` keeps undecodable bytes."""


def recognise(path: Path, head: str) -> bool:
    """By its name, `.csv` or `.tsv`, gzipped or not."""
    return path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each row as a note; fields may hold line breaks.

    Raises:
        UnknownName: A mapped column is not in the header.
        NoteError: There is no header.
    """
    columns = [fields.columns.get(name, name) for name in NEEDED if name not in fields.constants]
    yield from rows(path, fields, required=(*columns, *fields.columns.values()))


def header_names(path: Path) -> list[str]:
    """The column names."""
    for _, line in byte_lines(path):
        return next(csv.reader([_text(line)], delimiter=_delimiter(path)), [])
    raise NoteError(f"{path} is empty: a CSV file needs a header line")


def rows(
    path: Path, fields: Fields, *, required: Sequence[str] = (), lower: bool = False
) -> Iterator[Note | Reject]:
    """The loop behind every table of notes; with `lower`, header names in lower case."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = (_text(line) for _, line in byte_lines(path))
    first = next(lines, None)
    if first is None:
        raise NoteError(f"{path} is empty: a CSV file needs a header line")
    _check_first(first, path)
    # strict: a quote that is never closed must not swallow the next patient's rows.
    reader = csv.reader(chain([first], lines), delimiter=_delimiter(path), strict=True)
    header = [name.strip().lower() if lower else name.strip() for name in next(reader)]
    if lower:
        fields = fields.lowered()
    _check_columns((*required, *fields.metadata), header, fields, path)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield Reject(str(path), start, f"broken CSV: {problem}")
            continue
        if row:
            yield _note(row, header, fields, str(path), start)


def _check_first(first: str, path: Path) -> None:
    if first.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        raise NoteError(f"{path} is UTF-16: convert it with iconv -f UTF-16 -t UTF-8")
    if not first.strip():
        raise NoteError(f"{path} begins with an empty line: a CSV file needs a header line")


def _check_columns(
    wanted: Sequence[str], header: Sequence[str], fields: Fields, path: Path
) -> None:
    for name in wanted:
        if name not in header:
            # It may be no header but a row: what is not plainly a name is not shown.
            shown = ", ".join(n if re.fullmatch(r"[A-Za-z_]\w{0,30}", n) else "…" for n in header)
            known = next((f for f in NEEDED if fields.columns.get(f, f) == name), "patient_id")
            raise UnknownName(
                f"{path} has no column {name!r}: it has {shown}. Map it: --column {known}=COLUMN"
            )


def _note(row: list[str], header: list[str], fields: Fields, file: str, line: int) -> Note | Reject:
    if len(row) != len(header):
        return Reject(file, line, f"{len(row)} fields where the header has {len(header)}")
    if any(BAD <= character <= "\udcff" for value in row for character in value):
        return Reject(file, line, "bytes that are not UTF-8")
    return fields.note(dict(zip(header, row, strict=True)), file=file, line=line)


def _delimiter(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="surrogateescape")
