"""Words of an answer: hand-worked numbers, and those of the libraries that others use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.eval.qa.scores.answers import best, exact_match, normalised, token_f1
from drehr_rag.eval.qa.scores.rouge import rouge_l

words = st.lists(st.sampled_from("a b c d e".split()), max_size=7).map(" ".join)


def test_normalisation():
    assert normalised("The  K was 5.3, on a Monday!") == "k was 53 on monday"


@pytest.mark.parametrize(
    ("said", "accepted", "exact", "f1"),
    [
        ("The Furosemide.", "furosemide", 1, 1),
        ("58 on March 13", "58", 0, 2 / 5),  # precision 1/4, recall 1
        ("gout gout", "gout", 0, 2 / 3),  # the second gout is one too many
        ("", "gout", 0, 0),
        ("yes", "no", 0, 0),
        ("a", "the", 1, 1),  # nothing is left of either
    ],
)
def test_squad(said, accepted, exact, f1):
    assert exact_match(said, accepted) == exact
    assert token_f1(said, accepted) == pytest.approx(f1)


def test_the_nearest_answer_counts():
    assert best(token_f1, "torsemide", ["furosemide", "oral torsemide"]) == pytest.approx(2 / 3)


ROUGE = [
    ("the cat sat on the mat", "the cat lay on a mat", 0.666667),
    (
        "Torsemide replaced furosemide because of erratic gut absorption.",
        "Furosemide is absorbed erratically, so torsemide was used.",
        0.125,
    ),
    ("K 5.3 on 3/5, Cr 2.6", "Cr 2.6 and K 5.3", 0.375),
    ("", "x", 0.0),
    ("same words", "same words", 1.0),
    ("a b c d", "d c b a", 0.25),
    ("No - renal ultrasound: no hydronephrosis", "renal ultrasound showed no hydronephrosis", 0.8),
]
"""F of `rouge_score` 0.1.2, `RougeScorer(["rougeL"], use_stemmer=False)`, computed on 21 November
2026 in a venv of its own."""


@pytest.mark.parametrize(("left", "right", "value"), ROUGE)
def test_rouge_l_as_the_library_has_it(left, right, value):
    assert rouge_l(left, right) == pytest.approx(value, abs=1e-6)
    assert rouge_l(right, left) == pytest.approx(value, abs=1e-6)


def longest_common(left, right):
    """The definition, word by word."""
    if not left or not right:
        return 0
    if left[0] == right[0]:
        return 1 + longest_common(left[1:], right[1:])
    return max(longest_common(left[1:], right), longest_common(left, right[1:]))


@given(words, words)
def test_rouge_l_against_the_definition(left, right):
    a, b = left.split(), right.split()
    expected = 2 * longest_common(a, b) / (len(a) + len(b)) if a and b else 0
    assert rouge_l(left, right) == pytest.approx(expected)
