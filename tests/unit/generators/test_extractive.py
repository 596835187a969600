"""Quoting without a language model: what is asked for is found by other names, or it abstains."""

import json
from fnmatch import fnmatch

import pytest

from drehr_rag import ward
from drehr_rag.generators import load_generator
from drehr_rag.generators._names import stem
from drehr_rag.generators._thesaurus import thesaurus
from drehr_rag.generators._wanted import found, wanted
from drehr_rag.generators.extractive import MOST
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.protocols import GenerationRequest

NOTE = """PLAN:
1. Lasix stopped because of low sodium.
2. Continue aspirin for the stent.
3. Repeat CT of the chest in May.

FAMILY HISTORY:
Mother had diabetes.
"""


def quoted(question, *passages):
    generator = load_generator("extractive", split=sentence_spans)
    reply = generator.generate(GenerationRequest("", question, passages or (NOTE,), {}))
    return [sentence["quote"] for sentence in json.loads(reply)["sentences"]]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("Why was the water pill stopped?", "1. Lasix"),
        ("Which antiplatelet does he take?", "2. Continue aspirin"),
        ("When is the scan of the lungs?", "3. Repeat CT"),
    ],
)
def test_a_thing_is_found_by_another_name_or_as_one_of_its_kind(question, first):
    assert quoted(question)[0].startswith(first)


@pytest.mark.parametrize("question", ["What was the ferritin level?", "Is there glaucoma?", "Why?"])
def test_what_the_notes_do_not_name_is_not_answered(question):
    assert quoted(question) == []


def test_no_passages_no_answer():
    assert quoted("Any gout?", "") == []


def test_few_sentences_are_quoted_and_none_twice():
    same = "Furosemide 40 mg daily was given."
    assert quoted("Which diuretic was given?", same, same.upper()) == [same]
    many = "\n".join(f"Furosemide {dose} mg was given." for dose in range(9))
    assert len(quoted("Which diuretic was given?", many)) == MOST


def test_a_reply_names_the_passage_that_it_quotes():
    generator = load_generator("extractive", split=sentence_spans)
    asked = GenerationRequest("", "Which diuretic?", ("No cough.", "Lasix 40 mg daily."), {})
    (sentence,) = json.loads(generator.generate(asked))["sentences"]
    assert sentence["passages"] == [2]
    assert sentence["text"] == sentence["quote"] == "Lasix 40 mg daily."


def test_abbreviations_that_are_words_count_in_capitals_alone():
    scan = wanted("Any ultrasound?")
    assert found(scan, ["US of both kidneys", "He told us so"]).tolist() == [[1.0], [0.0]]
    assert [one.kind for one in wanted("HIT")] == ["thing"]
    assert wanted("hit") == []


def test_a_month_is_found_in_dates():
    march = [one for one in wanted("What happened in March?") if one.name == stem("march")]
    texts = ["begun 3/8", "2024-03-02", "on 13/8"]
    assert found(march, texts).ravel().tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("warfarin", "thing"),
        ("stopped", "deed"),
        ("result", "asking"),
        ("mountain", "ordinary"),
        ("1984", "ordinary"),
        ("zyzzyvitis", "unknown"),
    ],
)
def test_words_are_told_apart_by_how_much_they_say(question, kind):
    assert [one.kind for one in wanted(question)] == [kind]


def test_an_ordinary_word_that_the_notes_lack_does_not_stop_an_answer():
    chart = NOTE + "".join(f"Day {day}: Lasix unchanged, aspirin unchanged.\n" for day in range(9))
    assert quoted("Why was somebody angry about the water pill?", chart)
    assert quoted("Was spironolactone or mercaptopurine given for colitis?", chart) == []


@pytest.mark.parametrize(
    "same",
    [
        "stop stopped stopping stops",
        "infection infected infections infectious",
        "allergy allergies allergic",
        "thrombus thrombosis thrombotic",
        "anaemia anemia anaemic",
        "oedema edema",
        "bleed bleeds bleeding",
    ],
)
def test_words_of_one_root_are_one(same):
    assert len({stem(word) for word in same.split()}) == 1


@pytest.mark.parametrize("others", ["status stat", "portal port", "number numb", "renal reno"])
def test_words_of_other_roots_stay_apart(others):
    assert len({stem(word) for word in others.split()}) == 2


def test_every_line_of_the_thesaurus_can_be_read():
    known = thesaurus()
    assert len(known.names) == len(known.under) > 3000
    assert all(known.names)
    for names in known.names:
        for name in names:
            assert name == " ".join(name.lower().split())
            assert all(ways for ways in known.ways(name).values())


def test_letters_left_open_match_no_ordinary_word():
    known = thesaurus()
    stars = {name for row in (*known.names, *known.under) for name in row if "*" in name}
    for star in stars:
        hit = {word for word in known.ordinary if fnmatch(word, star) and not known.knows(word)}
        assert not hit, star


def test_practice_questions_have_their_evidence_in_the_notes():
    notes = {note.note_id: note for note in ward.notes()}
    questions = ward.practice()
    assert len({question["question_id"] for question in questions}) == len(questions) >= 200
    assert {question["split"] for question in questions} == {"practice"}
    for question in questions:
        assert bool(question["evidence"]) == (question["kind"] != "absent")
        for place in question["evidence"]:
            note = notes[place["note_id"]]
            assert note.patient_id == question["patient_id"]
            assert note.text[place["start"] : place["end"]] == place["quote"]
