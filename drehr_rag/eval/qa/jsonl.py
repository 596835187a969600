"""The `ehr-qa` format: questions as JSON Lines, one object a line."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from drehr_rag.eval.qa.checking import checked
from drehr_rag.eval.qa.faults import Faults, reason_of
from drehr_rag.eval.qa.files import json_lines, sha256, write_whole
from drehr_rag.eval.qa.records import Question
from drehr_rag.types import Note


def read_questions(path: str | Path, notes: Iterable[Note] | None = None) -> list[Question]:
    """The questions of a JSON Lines file.

    Args:
        path: UTF-8, one object a line; blank lines are passed over.
        notes: If given, evidence is checked against them.

    Raises:
        EvaluationError: A line cannot be used: all such lines are counted, with reasons.
    """
    faults, questions, rows = Faults(path, "lines"), [], 0
    for number, row in json_lines(path):
        rows += 1
        if row is None:
            faults.add("no JSON object", f"line {number}")
            continue
        try:
            questions.append(Question.model_validate(row))
        except ValidationError as problem:
            faults.add(reason_of(problem), f"line {number}")
    faults.refuse(rows, "The format is described in docs/qa-evaluation.md")
    return checked(questions, path, notes)


def lines_of(questions: Iterable[Question]) -> str:
    """The questions as JSON Lines; what is not known is left out."""
    return "".join(q.model_dump_json(exclude_none=True) + "\n" for q in questions)


def write_questions(path: str | Path, questions: Iterable[Question]) -> None:
    """Write a file that `read_questions` reads; only its owner may read it."""
    write_whole(Path(path), lines_of(questions))


def checksum(questions: Iterable[Question]) -> str:
    """SHA-256 of the questions with all that is known of them."""
    return sha256(lines_of(questions))
