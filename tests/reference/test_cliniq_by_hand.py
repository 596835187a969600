"""The naive scorer of CliniQ gives what the example worked by hand says."""

import math

import pytest
from reference import cliniq_by_hand as by_hand
from reference import cliniq_naive as naive

EXAMPLE = (by_hand.CORPUS, by_hand.QUERIES, by_hand.QRELS, by_hand.RUN)
SETTINGS = {
    "multi": (
        naive.multi_patient,
        None,
        by_hand.MULTI_PATIENT,
        by_hand.MULTI_PATIENT_MEANS,
    ),
    "single": (
        naive.single_patient,
        None,
        by_hand.SINGLE_PATIENT,
        by_hand.SINGLE_PATIENT_MEANS,
    ),
    "multi-match": (
        naive.multi_patient,
        by_hand.MATCH,
        by_hand.MULTI_PATIENT_MATCH,
        by_hand.MULTI_PATIENT_MATCH_MEANS,
    ),
    "single-match": (
        naive.single_patient,
        by_hand.MATCH,
        by_hand.SINGLE_PATIENT_MATCH,
        by_hand.SINGLE_PATIENT_MATCH_MEANS,
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_naive_scorer_gives_the_values_worked_by_hand(setting):
    score, match, expected, means = SETTINGS[setting]
    scores = score(*EXAMPLE, match=match)
    assert list(scores) == list(expected)
    for measure, values in expected.items():
        assert scores[measure] == pytest.approx(values, rel=0, abs=1e-12), measure
    for measure, value in means.items():
        assert naive.mean(scores[measure].values()) == pytest.approx(value, rel=0, abs=1e-12)


def test_the_mean_of_nothing_is_not_a_number():
    assert math.isnan(naive.mean([]))
