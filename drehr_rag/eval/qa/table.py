"""The user's own questions in a CSV file, by a mapping of columns.

One row a question, or several rows of one `question_id`, each with one more piece of evidence.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drehr_rag.errors import EvaluationError, UnknownName
from drehr_rag.eval.qa.cells import (
    FIELDS,
    NEEDED,
    PLAIN,
    RowFault,
    answers_of,
    evidence_of,
    whole_number,
)
from drehr_rag.eval.qa.checking import checked
from drehr_rag.eval.qa.faults import Faults, reason_of
from drehr_rag.eval.qa.files import read_text
from drehr_rag.eval.qa.records import Question
from drehr_rag.types import Note


def read_table(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    notes: Iterable[Note] | None = None,
) -> list[Question]:
    """The questions of a CSV file with a header (`.tsv`: tabs).

    Args:
        path: UTF-8.
        columns: Field to column, e.g. `{"patient_id": "subject_id"}`; others by their own names.
        notes: Needed where evidence is given by its words (`quote`) alone.

    Raises:
        UnknownName: There is no such field, or the file has no such column.
        EvaluationError: Rows cannot be used: all are counted, with reasons.
    """
    mapping = _mapping(columns or {})
    texts = {note.note_id: note.text for note in notes or ()}
    faults, found, rows = Faults(path, "rows"), dict[str, dict[str, Any]](), 0
    for rows, row in enumerate(_rows(Path(path), mapping), 1):
        try:
            _add(found, _cells(row, mapping), texts)
        except RowFault as problem:
            faults.add(str(problem), f"row {rows}")
    faults.refuse(rows, "Columns are described in docs/qa-evaluation.md")
    return checked(_questions(path, found), path, notes)


def _questions(path: str | Path, found: Mapping[str, Mapping[str, Any]]) -> list[Question]:
    faults, questions = Faults(path, "questions"), []
    for question_id, values in found.items():
        try:
            questions.append(Question.model_validate(values))
        except ValidationError as problem:
            faults.add(reason_of(problem), question_id)
    faults.refuse(len(found), "Columns are described in docs/qa-evaluation.md")
    return questions


def _mapping(columns: Mapping[str, str]) -> dict[str, str]:
    for field in columns:
        if field not in FIELDS:
            raise UnknownName(f"a question has no field {field!r}: there are {', '.join(FIELDS)}")
    return {field: columns.get(field, field) for field in FIELDS}


def _rows(path: Path, mapping: Mapping[str, str]) -> Iterator[dict[str, str] | None]:
    """Each row by column; None for one that is broken or has another width than the header."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    # strict: a quote that is never closed must not swallow the rows after it.
    reader = csv.reader(StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error:
        raise EvaluationError(f"{path} has no header that is CSV: is it a table?") from None
    if len(set(header)) < len(header):
        raise EvaluationError(f"{path} has two columns of one name: which is meant?")
    wanted = {name for field, name in mapping.items() if field in NEEDED or field != name}
    if missing := sorted(wanted - set(header)):
        raise UnknownName(
            f"{path} has no column {', '.join(map(repr, missing))}: map it, e.g. "
            "--column patient_id=COLUMN"
        )
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if row:
            yield dict(zip(header, row, strict=True)) if len(row) == len(header) else None


def _cells(row: Mapping[str, str] | None, mapping: Mapping[str, str]) -> dict[str, str]:
    if row is None:
        raise RowFault("broken CSV, or another number of cells than the header has")
    return {field: row.get(name, "").strip() for field, name in mapping.items()}


def _add(
    found: dict[str, dict[str, Any]], cells: Mapping[str, str], texts: Mapping[str, str]
) -> None:
    values: dict[str, Any] = {field: cells[field] or None for field in PLAIN}
    values["entities"] = whole_number(cells["entities"], "entities")
    values["answers"] = answers_of(cells["answers"])
    evidence = evidence_of(cells, texts)
    if not cells["question_id"]:
        raise RowFault("question_id is empty")
    known = found.setdefault(cells["question_id"], {**values, "evidence": None})
    if known != {**values, "evidence": known["evidence"]}:
        raise RowFault("differs from the question's first row in more than its evidence")
    if evidence:
        known["evidence"] = [*(known["evidence"] or ()), evidence]
    elif values["answers"] == []:
        known["evidence"] = []
