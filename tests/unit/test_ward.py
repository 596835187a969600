"""The invented ward: its shape, its judgments' places, and the checksum of its frozen half."""

import json
from collections import Counter, defaultdict
from hashlib import sha256
from itertools import chain

import pytest

from drehr_rag import ward
from drehr_rag.errors import UnknownName

FROZEN = "1120ef130bb36e243a8558083f7dae54c604a01dca3f82f65fad8ed57becefa0"
"""Of the frozen queries, judgments and questions: written before anything was tuned."""

FRESH = [
    "479b7099914df3e4390e6744d61c7a84aa77fcbd2813ad03dce728d5d9a685d5",
    "713d14f48898c7eb83abdc27bf2fa87f9be2d0efcdde917775d3297026da45aa",
    "f94d5a6746b5ed62a5eb04a918ba4b8f743f4baf3f3000041ffac47337e3c54e",
]
"""Of the questions that were written last, before the generator that they judge was asked."""

KINDS = {"single", "multi", "temporal", "negated", "absent", "ambiguous"}
MATCHES = {"string", "synonym", "abbreviation", "hyponym", "implication"}


def test_patients_and_their_notes_over_time():
    by_patient = defaultdict(list)
    for note in ward.notes():
        by_patient[note.patient_id].append(note)
    assert len(by_patient) >= 12
    assert len({note.note_id for note in ward.notes()}) == len(ward.notes())
    for notes in by_patient.values():
        assert 3 <= len(notes) <= 10
        assert len({note.note_type for note in notes}) >= 2
        times = [note.written_at for note in notes]
        assert times == sorted(times) and None not in times


def test_two_patients_share_a_name():
    named = {n.patient_id for n in ward.notes() if "Alvarez" in n.text}
    assert {"p03", "p10"} <= named


def test_every_judgment_stands_where_it_says():
    text = {note.note_id: note.text for note in ward.notes()}
    asked = {query["query_id"] for query in ward.queries()}
    assert len(asked) >= 55
    judged = set()
    for row in ward.qrels():
        assert text[row["note_id"]][row["start"] : row["end"]] == row["quote"]
        assert row["match"] in MATCHES
        judged.add(row["query_id"])
    assert judged == asked
    counts = Counter(row["match"] for row in ward.qrels())
    assert min(counts[match] for match in MATCHES) >= 20


def test_every_question_has_its_evidence_in_the_patients_own_notes():
    notes = {note.note_id: note for note in ward.notes()}
    fresh = [ward.fresh(writer) for writer in (1, 2, 3)]
    questions = [*ward.questions(), *chain(*fresh), *ward.practice()]
    assert len(ward.questions()) >= 80
    assert [len(some) for some in fresh] == [52, 100, 219]
    assert len({question["question_id"] for question in questions}) == len(questions)
    assert {question["patient_id"] for question in questions} == {
        note.patient_id for note in notes.values()
    }
    assert {question["kind"] for question in questions} == KINDS
    for question in questions:
        assert bool(question["evidence"]) == (question["kind"] != "absent")
        assert (question["answer"] is None) == (question["kind"] == "absent")
        for place in question["evidence"]:
            note = notes[place["note_id"]]
            assert note.patient_id == question["patient_id"]
            assert note.text[place["start"] : place["end"]] == place["quote"]


def test_the_frozen_half_is_frozen():
    content = [ward.queries("frozen"), ward.qrels("frozen"), ward.questions("frozen")]
    assert sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() == FROZEN
    for of in (ward.queries, ward.questions):
        assert abs(len(of("frozen")) - len(of("dev"))) <= 10
        assert len(of("frozen")) + len(of("dev")) == len(of())
    frozen = [json.dumps(ward.fresh(writer), sort_keys=True) for writer in (1, 2, 3)]
    assert [sha256(text.encode()).hexdigest() for text in frozen] == FRESH


def test_an_unknown_split_is_an_error():
    with pytest.raises(UnknownName, match="dev or frozen"):
        ward.questions("test")
    with pytest.raises(UnknownName, match="1, 2 or 3"):
        ward.fresh(4)
