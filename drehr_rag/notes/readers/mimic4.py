"""MIMIC-IV-Note: `discharge.csv` and `radiology.csv`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag.notes.readers._fields import Fields
from drehr_rag.notes.readers.csv import rows
from drehr_rag.types import Note, Reject

COLUMNS = {
    "note_id": "note_id",
    "patient_id": "subject_id",
    "encounter_id": "hadm_id",
    "note_type": "note_type",
    "written_at": "charttime",
    "text": "text",
}
NOTE_TYPES = {
    "DS": "Discharge summary",
    "AD": "Discharge summary addendum",
    "RR": "Radiology report",
    "AR": "Radiology report addendum",
}
"""The data set's codes (MIMIC-IV-Note documentation, tables discharge and radiology)."""


def recognise(path: Path, head: str) -> bool:
    """By the header of the tables."""
    header = {name.strip().strip('"').lower() for name in head.split("\n", 1)[0].split(",")}
    return {"note_id", "subject_id", "hadm_id", "note_type", "note_seq", "text"} <= header


def read(path: Path, fields: Fields) -> Iterator[Note | Reject]:
    """Each row as a note.

    Raises:
        UnknownName: The table lacks a column.
    """
    table = fields.with_defaults(COLUMNS)
    required = ("note_id", "subject_id", "hadm_id", "note_type", "text")
    yield from rows(path, _Mimic4(**vars(table)), required=required, lower=True)


class _Mimic4(Fields):
    def note(self, row: Mapping[str, Any], *, file: str, line: int | None) -> Note | Reject:
        """Blank cells are absent values; note types are written out."""
        cells = {name: value for name, value in row.items() if value != ""}
        if "hadm_id" in cells:  # pandas writes a nullable integer column as 22595853.0
            cells["hadm_id"] = cells["hadm_id"].removesuffix(".0")
        kind = cells.get("note_type", "")
        cells["note_type"] = NOTE_TYPES.get(kind, kind)
        return super().note(cells, file=file, line=line)
