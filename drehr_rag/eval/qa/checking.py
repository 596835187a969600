"""Whether questions can be a set, and fit the notes they are about."""

from collections.abc import Iterable, Mapping, Sequence

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.faults import Faults
from drehr_rag.eval.qa.records import Question
from drehr_rag.types import Note


def checked(
    questions: Sequence[Question], origin: object, notes: Iterable[Note] | None = None
) -> list[Question]:
    """The questions, if they can be a set.

    Raises:
        EvaluationError: There is none, an id stands twice, or evidence is not in the notes.
    """
    faults, seen = Faults(origin, "questions"), set[str]()
    held = None if notes is None else {note.note_id: note for note in notes}
    if not questions:
        raise EvaluationError(f"{origin} holds no question")
    for question in questions:
        if question.question_id in seen:
            faults.add("a question_id that stands twice", question.question_id)
        seen.add(question.question_id)
        for reason in () if held is None else _misplaced(question, held):
            faults.add(reason, question.question_id)
    faults.refuse(len(questions), "Correct the set, or give the notes that it was made from")
    return list(questions)


def _misplaced(question: Question, notes: Mapping[str, Note]) -> Iterable[str]:
    for evidence in question.evidence or ():
        note = notes.get(evidence.note_id)
        if note is None:
            yield "evidence in a note that is not among the notes"
        elif note.patient_id != question.patient_id:
            yield "evidence in another patient's note"
        elif evidence.end > len(note.text):
            yield "evidence that ends after its note"
        elif evidence.quote not in (None, note.text[evidence.start : evidence.end]):
            yield "evidence whose quote is not what stands there"
