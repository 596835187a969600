"""What each signal of the extractive generator counts, fitted on the ward's dev and practice.

    python -m benchmarks.extractive_fit

A sentence's score is a weighted sum of its signals, fitted so that the sentences of the evidence
get the largest share of exp(score) of all that were read (a softmax, weights kept small). Printed
are the weights fitted on all; then, with weights fitted on the other patients, and on the other
writers' questions, what each least of what must be told would answer and leave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.generators._signals import NAMES, Sentence, Signals, signals
from drehr_rag.generators._telling import told
from drehr_rag.generators._wanted import wanted
from drehr_rag.generators.extractive import READS, sentences_of, top
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa import Settings

SMALL = 3.0
"""How much weights are kept small."""

WRITERS = {"m2": "second", "m3": "third"}
"""Of practice questions, by their ids; the first wrote all others."""

LEASTS = (0.4, 0.45, 0.48, 0.5, 0.52, 0.53, 0.54, 0.55, 0.56, 0.58, 0.6, 0.65)


class _Listening:
    """Keeps the passages, and says nothing."""

    passages: tuple[str, ...] = ()

    def generate(self, request: GenerationRequest) -> str:
        self.passages = request.passages
        return '{"not_in_notes": true, "sentences": []}'


@dataclass(frozen=True)
class _Case:
    patient: str
    writer: str
    answerable: bool
    sentences: Sequence[Sentence]
    known: Signals
    told: float
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
            writer = WRITERS.get(question["question_id"].partition("-")[0], "first")
            case = (question["patient_id"], writer, bool(places), sentences, known)
            cases.append(_Case(*case, told(question["question"], known, sentences), np.array(hit)))
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


def _quoted(cases: Sequence[_Case], spread: Any, by: str) -> list[list[int]]:
    """What is quoted for each case with weights fitted on the groups that it is not of."""
    fitted = {
        group: _fitted([case for case in cases if getattr(case, by) != group], spread)
        for group in {getattr(case, by) for case in cases}
    }
    return [
        top(case.known, case.sentences, dict(zip(NAMES, fitted[getattr(case, by)], strict=True)))
        for case in cases
    ]


def _table(cases: Sequence[_Case], quoted: Sequence[Sequence[int]], title: str) -> Table:
    table = Table("least", "right", "wrong", "missed", "absent, left", title=title)
    absent = sum(not case.answerable for case in cases)
    for least in LEASTS:
        answered = [n for n, case in enumerate(cases) if case.told >= least]
        right = sum(bool(cases[n].evidence[quoted[n]].any()) for n in answered)
        known = sum(cases[n].answerable for n in answered)
        missed, left = len(cases) - absent - known, absent - (len(answered) - known)
        counts = (right, known - right, missed, left)
        wholes = (len(cases) - absent,) * 3 + (absent,)
        cells = (f"{n} ({n / whole:.0%})" for n, whole in zip(counts, wholes, strict=True))
        table.add_row(str(least), *cells)
    return table


def main() -> None:
    """Print what was found."""
    out, cases = Console(width=110), _cases()
    spread = np.concatenate([case.known.table for case in cases]).std(axis=0) + 1e-9
    out.print({n: round(float(w), 2) for n, w in zip(NAMES, _fitted(cases, spread), strict=True)})
    out.print(_table(cases, _quoted(cases, spread, "patient"), "fitted on the other patients"))
    quoted = _quoted(cases, spread, "writer")
    for writer in ("first", *WRITERS.values()):
        some = [n for n, case in enumerate(cases) if case.writer == writer]
        title = f"questions of the {writer} writer, fitted on the others'"
        out.print(_table([cases[n] for n in some], [quoted[n] for n in some], title))


if __name__ == "__main__":
    main()
