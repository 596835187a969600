"""MIMIC-III `NOTEEVENTS.csv`: every category of note.

Rows marked as errors by a physician (`ISERROR` = 1) are rejected, as the data set's
documentation asks for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from drehr_rag.notes.readers._fields import Fields, id_or_none
from drehr_rag.notes.readers.csv import rows
from drehr_rag.types import Note, Reject

COLUMNS = {
    "note_id": "row_id",
    "patient_id": "subject_id",
    "encounter_id": "hadm_id",
    "note_type": "category",
    "written_at": "charttime",
    "text": "text",
}
REQUIRED = ("row_id", "subject_id", "hadm_id", "category", "text")


def recognise(path: Path, head: str) -> bool:
    """By the header of the table."""
    header = {name.strip().strip('"').lower() for name in head.split("\n", 1)[0].split(",")}
    return {"row_id", "subject_id", "category", "iserror", "text"} <= header


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each row as a note. `CHARTDATE` stands in where there is no `CHARTTIME`.

    Raises:
        UnknownName: The table lacks a column of NOTEEVENTS.
    """
    table = replace(fields.with_defaults(COLUMNS))
    yield from rows(path, _NoteEvents(**vars(table)), required=REQUIRED, lower=True)


class _NoteEvents(Fields):
    def note(self, row: Mapping[str, Any], *, file: str, line: int | None) -> Note | Reject:
        """Blank cells are absent values; error rows are rejected."""
        if row.get("iserror", "").removesuffix(".0") == "1":
            return Reject(
                file,
                line,
                "marked as an error by a physician (ISERROR)",
                id_or_none(row.get("row_id")),
                id_or_none(row.get("subject_id")),
                retracted=True,
            )
        cells = {name: value for name, value in row.items() if value != ""}
        cells.setdefault("charttime", cells.get("chartdate"))
        if "hadm_id" in cells:  # pandas writes a nullable integer column as 145834.0
            cells["hadm_id"] = cells["hadm_id"].removesuffix(".0")
        return super().note(cells, file=file, line=line)
