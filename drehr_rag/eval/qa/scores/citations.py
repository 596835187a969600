"""Citations against evidence: by characters, and by the sentences that they touch.

Strict: only essential evidence is right. Lenient: supplementary evidence is right as well
(ArchEHR-QA 2025).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.records import Evidence, Question
from drehr_rag.eval.qa.scores.agreement import Agreement
from drehr_rag.eval.qa.scores.spans import Place, shared, size, spans_of
from drehr_rag.notes.sentences import sentence_spans

Measure = Callable[[Sequence[Place], Sequence[Place]], Agreement]
"""Citations and evidence of one question → counts."""


def right(question: Question, *, strict: bool) -> tuple[Evidence, ...]:
    """The evidence that counts."""
    return question.essential() if strict else question.evidence or ()


def by_character(cited: Sequence[Place], evidence: Sequence[Place]) -> Agreement:
    """Characters cited, characters of the evidence, and those in both."""
    ours, theirs = spans_of(cited), spans_of(evidence)
    return Agreement(shared(ours, theirs), size(ours), size(theirs))


def by_sentence(texts: Mapping[str, str]) -> Measure:
    """The same for sentences: one is cited, or evidence, if a single character of it is.

    Args:
        texts: Note id to note text.
    """
    split: dict[str, list[tuple[int, int]]] = {}

    def touched(places: Iterable[Place]) -> set[tuple[str, int]]:
        found = set()
        for place in places:
            if place.note_id not in texts:
                raise EvaluationError(
                    f"note {place.note_id} is cited but is not among the notes given: give the "
                    "notes that the store was made from"
                )
            sentences = split.setdefault(place.note_id, [])
            if not sentences:
                sentences.extend(sentence_spans(texts[place.note_id]))
            for number, (start, end) in enumerate(sentences):
                if start < place.end and place.start < end:
                    found.add((place.note_id, number))
        return found

    def measure(cited: Sequence[Place], evidence: Sequence[Place]) -> Agreement:
        ours, theirs = touched(cited), touched(evidence)
        return Agreement(len(ours & theirs), len(ours), len(theirs))

    return measure
