"""Cases as questions of the `ehr-qa` format, and their excerpts as notes."""

from collections.abc import Sequence
from typing import Literal

from drehr_rag.eval.qa.archehr.cases import Case
from drehr_rag.eval.qa.checking import checked
from drehr_rag.eval.qa.records import Evidence, Question
from drehr_rag.types import Note

Asked = Literal["clinician", "patient"]


def questions_of(
    cases: Sequence[Case], *, asked: Asked = "clinician"
) -> tuple[list[Question], list[Note]]:
    """One question and one note a case; the patient of both is `case-<id>`.

    Args:
        cases: As read.
        asked: The clinician's short question, or the patient's whole narrative.
    """
    notes = [case.note for case in cases]
    return checked([_question(case, asked) for case in cases], "the cases", notes), notes


def _question(case: Case, asked: Asked) -> Question:
    return Question(
        question_id=case.case_id,
        patient_id=case.note.patient_id,
        question=case.narrative if asked == "patient" else case.clinician_question,
        evidence=_evidence(case),
    )


def _evidence(case: Case) -> tuple[Evidence, ...] | None:
    if case.relevance is None:
        return None
    labels = [(sentence, case.relevance[sentence.sentence_id]) for sentence in case.sentences]
    return tuple(
        Evidence.model_validate(
            {"note_id": s.note_id, "start": s.start, "end": s.end, "relevance": label}
        )
        for s, label in labels
        if label != "not-relevant"
    )
