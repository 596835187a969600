"""What each signal of the extractive generator counts, fitted on the ward's dev and practice.

    python -m benchmarks.extractive_fit

A sentence's score is a weighted sum of its signals, fitted so that the sentences of the evidence
get the largest share of exp(score) of all that were read (a softmax, weights kept small). Told is
how it does on patients that it was not fitted on, then the weights fitted on all, and what each
least share of what is asked for would answer and leave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from scipy.optimize import minimize

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.generators._signals import NAMES, Sentence, Signals, signals
from drehr_rag.generators._wanted import wanted
from drehr_rag.generators.extractive import READS, sentences_of, told, top
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa import Settings

SMALL = 3.0
"""How much weights are kept small."""

LEASTS = (0.3, 0.35, 0.4, 0.42, 0.45, 0.5, 0.6, 0.7)


class _Listening:
    """Keeps the passages, and says nothing."""

    passages: tuple[str, ...] = ()

    def generate(self, request: GenerationRequest) -> str:
        self.passages = request.passages
        return '{"not_in_notes": true, "sentences": []}'


@dataclass(frozen=True)
class _Case:
    patient: str
    answerable: bool
    sentences: Sequence[Sentence]
    known: Signals
    evidence: Any


def _cases() -> list[_Case]:
    listening, texts = _Listening(), {note.note_id: note.text for note in ward.notes()}
    cases = []
    with EhrIndex.open(":memory:", encoder="offline") as index:
        index.add(ward.notes())
        chain = index.qa_chain(listening, settings=Settings(passages=READS))
        for question in ward.questions("dev") + ward.practice():
            chain.ask(question["question"], scope=Patient(question["patient_id"]))
            sentences = sentences_of(listening.passages, sentence_spans)
            known = signals(question["question"], wanted(question["question"]), sentences)
            places = [
                (place["note_id"], place["start"], place["end"]) for place in question["evidence"]
            ]
            hit = [_touches(one, listening.passages, texts, places) for one in sentences]
            has = bool(places)
            cases.append(_Case(question["patient_id"], has, sentences, known, np.array(hit)))
    return cases


def _touches(one: Sentence, passages: Sequence[str], texts: Mapping[str, str], places: Any) -> bool:
    passage = passages[one.passage - 1]
    for note, start, end in places:
        first = texts[note].find(passage)
        at = first + passage.find(one.text)
        if first >= 0 and at < end and start < at + len(one.text):
            return True
    return False


def _fitted(cases: Sequence[_Case], spread: Any) -> Any:
    usable = [(case.known.table / spread, case.evidence) for case in cases if case.evidence.any()]

    def loss(weights: Any) -> tuple[float, Any]:
        value, slope = SMALL * weights @ weights, 2 * SMALL * weights
        for table, evidence in usable:
            scores = table @ weights
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            right = shares[evidence].sum()
            value -= np.log(right)
            slope -= table.T @ (np.where(evidence, shares / right, 0.0) - shares)
        return float(value), slope

    return minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B").x / spread


def main() -> None:
    """Print what was found."""
    out, cases = Console(width=110), _cases()
    spread = np.concatenate([case.known.table for case in cases]).std(axis=0) + 1e-9
    best: dict[int, list[int]] = {}
    for patient in {case.patient for case in cases}:
        others = _fitted([case for case in cases if case.patient != patient], spread)
        weights = dict(zip(NAMES, others, strict=True))
        for number, case in enumerate(cases):
            if case.patient == patient:
                best[number] = top(case.known, case.sentences, weights)
    out.print({n: round(float(w), 2) for n, w in zip(NAMES, _fitted(cases, spread), strict=True)})
    for least in LEASTS:
        answered = [n for n, case in enumerate(cases) if told(case.known) >= least]
        right = sum(bool(cases[n].evidence[best[n]].any()) for n in answered)
        known = sum(cases[n].answerable for n in answered)
        out.print(
            f"least {least}: right {right}, wrong {known - right}, answered though absent "
            f"{len(answered) - known}, of {sum(case.answerable for case in cases)} answerable "
            f"and {sum(not case.answerable for case in cases)} absent"
        )


if __name__ == "__main__":
    main()
