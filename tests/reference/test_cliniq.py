"""Our scorer against a naive one written from PAPER.md alone, and against an example by hand."""

import pytest
from reference import cliniq_by_hand as hand
from reference.cliniq_cases import random_case
from reference.cliniq_naive import multi_patient, single_patient

from drehr_rag.eval.scoring import Cell, score
from drehr_rag.eval.task import Judgment, Passage, Query, Task

CASES = 3000
BIG = 1000
"""As `CASES`, of those with a big corpus (parts 0 and 5), which take five times as long."""
NAMES = {
    "multi-patient": {
        "RR": "MRR",
        "nDCG@10": "nDCG@10",
        "cliniq-nDCG@10": "cliniq-nDCG@10",
        "R@100": "Recall@100",
    },
    "single-patient": {"RR": "MRR", "nDCG": "nDCG", "cliniq-nDCG": "cliniq-nDCG", "AP": "MAP"},
}
MATCHES = (None, "string", "synonym", "abbreviation", "hyponym", "implication")


def task_of(corpus, queries, qrels):
    """CliniQ's tables as a task; a task has no query without a relevant chunk."""
    by_id = {query: qrels.get((kind, text), {}) for query, (text, kind) in queries.items()}
    return Task(
        "cliniq",
        {chunk: Passage("", chunk.rpartition("_")[0]) for chunk in corpus},
        {q: Query(text, kind) for q, (text, kind) in queries.items() if by_id[q]},
        {
            q: {c: Judgment(match=m) for c, m in judged.items()}
            for q, judged in by_id.items()
            if judged
        },
    )


def ours(corpus, queries, qrels, run):
    task = task_of(corpus, queries, qrels)
    judged = {query: scores for query, scores in run.items() if query in task.queries}
    return score(task, judged, missing="zero")


def naive(corpus, queries, qrels, run):
    """The naive scorer's answers as cells."""
    cells = {}
    for match in MATCHES:
        found = {
            "multi-patient": multi_patient(corpus, queries, qrels, run, match=match),
            "single-patient": single_patient(corpus, queries, qrels, run, match=match),
        }
        for setting, measures in found.items():
            for name, theirs in NAMES[setting].items():
                values = {
                    "\t".join(item) if isinstance(item, tuple) else item: value
                    for item, value in measures[theirs].items()
                }
                if values:
                    cells[Cell(setting, match or "all", name)] = values
    return cells


@pytest.mark.parametrize("part", range(10))
def test_the_same_values_for_the_same_items(part):
    compared = 0
    for seed in range(part, CASES if part % 5 else BIG, 10):
        case = random_case(seed)
        if not any(case[2].get((kind, text)) for text, kind in case[1].values()):
            continue  # nothing judged: a task refuses that
        mine, theirs = ours(*case), naive(*case)
        assert mine.keys() == theirs.keys(), seed
        for cell, values in theirs.items():
            assert mine[cell].keys() == values.keys(), (seed, cell)
            assert mine[cell] == pytest.approx(values, abs=1e-12), (seed, cell)
            compared += len(values)
    assert compared > 10_000


def test_the_example_worked_by_hand():
    mine = ours(hand.CORPUS, hand.QUERIES, hand.QRELS, hand.RUN)
    worked = {
        ("multi-patient", "all"): hand.MULTI_PATIENT,
        ("single-patient", "all"): hand.SINGLE_PATIENT,
        ("multi-patient", hand.MATCH): hand.MULTI_PATIENT_MATCH,
        ("single-patient", hand.MATCH): hand.SINGLE_PATIENT_MATCH,
    }
    for (setting, match), measures in worked.items():
        for name, theirs in NAMES[setting].items():
            expected = {
                "\t".join(item) if isinstance(item, tuple) else item: value
                for item, value in measures[theirs].items()
            }
            assert mine[Cell(setting, match, name)] == pytest.approx(expected, abs=1e-12)
