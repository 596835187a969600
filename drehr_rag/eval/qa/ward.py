"""The invented ward's questions as a set, and its notes."""

from drehr_rag import ward
from drehr_rag.eval.qa.checking import checked
from drehr_rag.eval.qa.records import Evidence, Question
from drehr_rag.types import Note


def ward_questions() -> tuple[list[Question], list[Note]]:
    """The 84 questions of `drehr_rag.ward`, checked against its notes."""
    notes = ward.notes()
    return checked([_question(row) for row in ward.questions()], "the ward", notes), notes


def _question(row: dict[str, object]) -> Question:
    fields = ("question_id", "patient_id", "question", "kind", "split")
    return Question(
        **{name: row[name] for name in fields},  # type: ignore[arg-type]
        answers=() if row["answer"] is None else (str(row["answer"]),),
        evidence=tuple(Evidence.model_validate(place) for place in row["evidence"]),  # type: ignore[attr-defined]
    )
