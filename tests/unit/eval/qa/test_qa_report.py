"""A report of six questions, worked out by hand."""

import json

import pytest

from drehr_rag.eval.qa.measures import Pair, abstention, answers, citations, retrieval
from drehr_rag.eval.qa.records import Evidence, Question
from drehr_rag.eval.qa.replies import Cited, Passage, Reply, Said
from drehr_rag.eval.qa.report import report
from drehr_rag.eval.qa.tables import markdown, rows
from drehr_rag.types import Note

NOTE = Note(note_id="n1", patient_id="p1", text="Gout. On allopurinol. No fever. Home.")


def question(number, accepted, *spans, **more):
    evidence = [Evidence(note_id="n1", start=a, end=b) for a, b in spans]
    return Question(
        question_id=f"q{number}",
        patient_id="p1",
        question="What?",
        answers=accepted,
        evidence=None if accepted is None else evidence,
        **more,
    )


def reply(number, said=None, cited=(), read=(), **more):
    spans = tuple(Cited(note_id="n1", start=a, end=b, chunk_id="c", quote="q") for a, b in cited)
    passages = tuple(
        Passage(note_id="n1", start=a, end=b, chunk_id=f"c{a}", score=1, text="t") for a, b in read
    )
    sentences = (Said(text=said, citations=spans),) if said else ()
    abstained = not said and "error" not in more
    return Reply(
        question_id=f"q{number}",
        abstained=abstained,
        sentences=sentences,
        passages=passages,
        seconds=1.0,
        **more,
    )


QUESTIONS = [
    question(1, ["gout"], (0, 5), entities=1),  # right, evidence read second
    question(2, ["allopurinol"], (6, 21), (9, 20), entities=2),  # wrong, one of two read
    question(3, ["no fever"], (22, 31), entities=5),  # abstained
    question(4, []),  # rightly abstained
    question(5, []),  # answered though absent
    question(6, ["home"], (32, 37), entities=1),  # failed
    question(7, None),  # nothing is known
]
REPLIES = [
    reply(1, "The gout.", [(0, 5)], [(22, 31), (0, 21)], confidence=0.9),
    reply(2, "Fever.", [(22, 31)], [(9, 12), (12, 15)], confidence=0.5),
    reply(3, read=[(0, 21)]),
    reply(4),
    reply(5, "Home.", [(32, 37)], confidence=0.7),
    reply(6, error="gone"),
    reply(7, "Fine.", [(0, 5)], confidence=0.1),
]
PAIRS = [Pair(q, r) for q, r in zip(QUESTIONS, REPLIES, strict=True)]


def test_retrieval():
    found = retrieval(PAIRS)
    assert found["all"] == {
        "questions": 4,
        "hit@1": 0,
        "hit@all": 2 / 4,
        "recall@1": 0,
        "recall@all": pytest.approx((1 + 1 / 2 + 0 + 0) / 4),
    }
    groups = found["by_entities"]
    assert {name: group["questions"] for name, group in groups.items()} == {
        "1": 2,
        "2": 1,
        "4 or more": 1,
    }
    assert [groups[name]["hit@all"] for name in ("1", "2", "4 or more")] == [1 / 2, 1, 0]


def test_answers():
    assert answers(PAIRS) == {
        "questions": 4,
        "exact_match": 1 / 4,
        "token_f1": 1 / 4,
        "rouge_l": pytest.approx((2 / 3) / 4),
    }


def test_citations():
    found = citations(PAIRS, None)
    assert found["questions"] == 6 and "sentence_strict" not in found
    span = found["span_strict"]
    assert span["precision"] == pytest.approx(5 / (5 + 9 + 5))
    assert span["recall"] == pytest.approx(5 / (5 + 15 + 9 + 5))
    by_sentence = citations(PAIRS, [NOTE])["sentence_lenient"]
    assert (by_sentence["precision"], by_sentence["recall"]) == (1 / 3, 1 / 4)


def test_abstention():
    found = abstention(PAIRS)
    assert found["questions"] == 6
    assert found["answerable"] == {"answered": 2, "abstained": 1, "failed": 1}
    assert found["not_in_notes"] == {"answered": 1, "abstained": 1, "failed": 0}
    risks = found["by_evidence"]
    assert (risks["coverage"], risks["accuracy"]) == (3 / 6, pytest.approx(1 / 3))
    assert risks["curve"] == [
        {"coverage": 1 / 6, "accuracy": 1},
        {"coverage": 2 / 6, "accuracy": 1 / 2},
        {"coverage": 3 / 6, "accuracy": pytest.approx(1 / 3)},
    ]
    assert risks["aurc"] == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4 + 4 / 5 + 5 / 6) / 6)
    assert risks["confidence"] == "from the chain"
    without = [Pair(q, r.model_copy(update={"confidence": None})) for q, r in PAIRS]
    assert len(abstention(without)["by_evidence"]["curve"]) == 1


def test_the_table_shows_what_was_not_measured(tmp_path):
    run = {"set": {"name": "mine", "questions": 9}, "chain": {"generator": "m", "x": {"y": 1}}}
    (tmp_path / "manifest.json").write_text(json.dumps(run))
    found = report(QUESTIONS, REPLIES, folder=tmp_path)
    assert json.loads(json.dumps(found)) == found
    shown = markdown(found)
    assert shown.startswith("mine: 7 of 9 questions; generator m\n")
    assert "| run | failed: gone | 1 | 7 questions |" in shown
    assert "| run | prompt tokens | not reported | 0 questions |" in shown
    assert "| citations | sentence, strict | needs the notes | 6 questions |" in shown
    assert "| faithfulness | judge | none asked | – |" in shown
    assert "| evidence, entities: 4 or more | hit@all | 0.000 | 1 questions |" in shown


def test_nothing_to_measure_is_a_dash(tmp_path):
    (tmp_path / "manifest.json").write_text('{"set": {"name": "m", "questions": 1}, "chain": {}}')
    found = report(QUESTIONS[6:], [reply(7)], folder=tmp_path)
    values = {(row.group, row.measure): row.value for row in rows(found)}
    assert values["answers", "token F1"] == values["evidence", "hit@all"] == "–"
    assert values["abstention, right: token F1", "AURC"] == "–"
