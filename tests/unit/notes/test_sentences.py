"""Sentences as offsets: nothing lost, nothing twice; abbreviations, lists and wrapped lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.notes.sentences import sentence_spans

# fmt: off
PARTS = st.sampled_from(
    [
        "Dr. Lee", "b.i.d.", "5 mg.", "No pain.", "is", "\n", "\n\n", " ", "1. ", "- ", "Why?",
        ".)", "\t", "\r\n", "\x0c", "\xa0", "\u2028", "3.5", "A.", "...", "!", '"Yes."', "É",
        "🩺",
    ]
)
# fmt: on
TEXTS = st.one_of(st.lists(PARTS, max_size=25).map("".join), st.text(max_size=60))


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@given(TEXTS)
def test_each_character_stands_in_exactly_one_sentence(text):
    spans = sentence_spans(text)
    covered = [place for start, end in spans for place in range(start, end)]
    assert covered == sorted(set(covered))
    assert {i for i, c in enumerate(text) if not c.isspace()} <= set(covered)


@given(TEXTS)
def test_a_sentence_neither_begins_nor_ends_with_white_space(text):
    for sentence in sentences(text):
        assert sentence
        assert sentence == sentence.strip()


@given(TEXTS, st.data())
def test_a_stretch_of_a_text(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    spans = sentence_spans(text, start, end)
    covered = {place for a, b in spans for place in range(a, b)}
    assert covered <= set(range(start, end))
    assert {i for i in range(start, end) if not text[i].isspace()} <= covered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He fell. She came.", ["He fell.", "She came."]),
        ("Pain? None! Good.", ["Pain?", "None!", "Good."]),
        ("Seen by Dr. Smith today. Well.", ["Seen by Dr. Smith today.", "Well."]),
        ("Aspirin b.i.d. with food. Stop.", ["Aspirin b.i.d. with food.", "Stop."]),
        ("Aspirin 81 mg b.i.d. Plavix held.", ["Aspirin 81 mg b.i.d.", "Plavix held."]),
        ("Potassium is 3.5 today. Fine.", ["Potassium is 3.5 today.", "Fine."]),
        ("Given 5 mg. Then slept.", ["Given 5 mg.", "Then slept."]),
        ("Mr. J. Doe vs. the flu.", ["Mr. J. Doe vs. the flu."]),
        ('He said "never." Then left.', ['He said "never."', "Then left."]),
        ("He weighs approx. 80 kg.", ["He weighs approx. 80 kg."]),
        ("- gout\n- diabetes", ["- gout", "- diabetes"]),
        ("1. Aspirin 81 mg\n2. Plavix", ["1. Aspirin 81 mg", "2. Plavix"]),
        ("PLAN:\nadmit to ward", ["PLAN:", "admit to ward"]),
        ("First\n\nsecond", ["First", "second"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_examples(text, expected):
    assert sentences(text) == expected


def test_a_line_wrapped_at_the_margin_is_one_sentence():
    text = (
        "The patient is a sixty-one year old man with a long history of gout and of\n"
        "diabetes who came in with pain. He was admitted."
    )
    assert sentences(text) == [text.split(" He was", maxsplit=1)[0], "He was admitted."]


@pytest.mark.timeout(30)
def test_a_long_note_on_one_line_takes_seconds_not_minutes():
    text = "1. Seen on 4. Given 5 mg. He slept. " * 20_000
    assert len(sentence_spans(text)) >= 20_000
