"""An index and a generator as the chain that is evaluated."""

from typing import Any

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.chain import Chain
from drehr_rag.eval.qa.records import Question
from drehr_rag.generators import load_generator
from drehr_rag.index import EhrIndex
from drehr_rag.types import Answer, Cohort, Patient


def missing_patients(index: EhrIndex, questions: list[Question]) -> int:
    """How many of the set's patients have no note here: their questions look carefully abstained.

    Raises:
        EvaluationError: None of the patients is there.
    """
    scope = Cohort({question.patient_id for question in questions})
    there = index.facets("patient_id", scope=scope)
    if not there:
        raise EvaluationError(
            f"none of the set's {len(scope.patient_ids)} patients has a note in "
            f"{index.location}: index the notes that the set was made from"
        )
    return len(scope.patient_ids) - len(there)


def chain_of(index: EhrIndex, passages: int, url: str | None, model: str | None) -> Chain:
    """The index asked under each question's patient, with what decides its answers."""
    generator: Any = load_generator("openai", url=url, model=model) if url else None
    facts = index.info()
    last: Answer | None = None

    def ask(question: Question) -> Answer:
        nonlocal last
        scope = Patient(question.patient_id)
        last = index.ask(question.question, scope=scope, generator=generator, passages=passages)
        return last

    settings = {
        "generator": generator.model if url else "extractive",
        "encoder": facts["encoder"],
        "passages": passages,
        "chunks": facts["chunks"],
        "fingerprint": facts["fingerprint"],
        "chunker": facts["chunker"],
    }
    return Chain(ask, settings, tokens=lambda: last.tokens if last else None)
