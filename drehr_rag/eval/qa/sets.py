"""A set of questions by its name: the ward, a JSON Lines file, or a CSV file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from drehr_rag.errors import BadArgument, EvaluationError
from drehr_rag.eval.qa.jsonl import read_questions
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.table import read_table
from drehr_rag.eval.qa.ward import ward_questions
from drehr_rag.notes.readers import read_notes
from drehr_rag.types import Note, Reject

WARD = "ward"


class QuestionSet(NamedTuple):
    """Questions, and the notes they are about if those were given."""

    name: str
    questions: list[Question]
    notes: list[Note] | None


def open_set(
    name: str,
    *,
    notes: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
) -> QuestionSet:
    """A set by name.

    Args:
        name: `ward`, or a file: `.csv` and `.tsv` are tables, any other is JSON Lines.
        notes: File or folder of the notes; evidence is checked against them.
        columns: For a table: field to column.
        split: Only the questions of this split.

    Raises:
        EvaluationError: The set, or the notes, cannot be used.
        BadArgument: There is no such split, or a mapping for what is no table.
    """
    given = None if notes is None else _notes(notes)
    table = name != WARD and Path(name).suffix.lower() in (".csv", ".tsv")
    if columns and not table:
        raise BadArgument("--column goes with a set in CSV: its columns are mapped to fields")
    if name == WARD:
        questions, own = ward_questions()
        given = own if given is None else given
    else:
        read = read_table(name, columns, given) if table else read_questions(name, given)
        questions = read
    return QuestionSet(name, _of_split(questions, split, name), given)


def _of_split(questions: Sequence[Question], split: str | None, name: str) -> list[Question]:
    if split is None:
        return list(questions)
    found = [question for question in questions if question.split == split]
    if not found:
        known = sorted({q.split for q in questions if q.split is not None})
        raise BadArgument(f"{name} has no split {split!r}: it has {', '.join(known) or 'none'}")
    return found


def _notes(path: str | Path) -> list[Note]:
    rows = list(read_notes(path))
    notes = [row for row in rows if isinstance(row, Note)]
    if rejects := [row for row in rows if isinstance(row, Reject)]:
        first = rejects[0]
        raise EvaluationError(
            f"{len(rejects)} of {len(rows)} notes in {path} cannot be read, the first in line "
            f"{first.line}: {first.reason}"
        )
    return notes
