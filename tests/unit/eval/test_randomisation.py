"""The paired randomisation test, against scipy's and against chance itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import BadArgument
from drehr_rag.eval.comparing.randomisation import EXACT, p_value

stats = pytest.importorskip("scipy.stats")


def scipy_p(differences, draws):
    found = stats.permutation_test(
        (differences, np.zeros_like(differences)),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        rng=np.random.default_rng(7),
    )
    return found.pvalue


@pytest.mark.parametrize("seed", range(5))
def test_few_queries_are_enumerated_as_scipy_does(seed):
    differences = np.random.default_rng(seed).normal(0.3, 1, size=9)
    assert p_value(differences) == pytest.approx(scipy_p(differences, 2**9), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.3])
def test_many_queries_agree_with_scipy_within_chance(shift):
    differences = np.random.default_rng(3).normal(shift, 1, size=120)
    ours, theirs = p_value(differences, flips=20_000), scipy_p(differences, 20_000)
    chance = np.sqrt(2 * max(theirs, 1e-4) * (1 - theirs) / 20_000)
    assert abs(ours - theirs) < 4 * chance + 1e-4


def test_a_worked_example():
    # +1 +2 +3: only all plus and all minus reach 6: 2 of 8
    assert p_value(np.array([1.0, 2.0, 3.0])) == 2 / 8
    # 0.1 + 0.2 and 0.3 are equal but for rounding, and count as equal
    assert p_value(np.array([0.1, 0.2, -0.3])) == 1.0


def test_never_nothing():
    assert p_value(np.full(500, 0.1), flips=999) == 1 / 1000
    assert p_value(np.full(EXACT, 0.1)) == 2 / 2**EXACT


def test_no_difference_is_one():
    assert p_value(np.zeros(50)) == 1.0


def test_flips_must_be_some():
    with pytest.raises(BadArgument, match="flips"):
        p_value(np.ones(3), flips=0)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_sign_does_not_matter_and_p_is_a_probability(values):
    differences = np.array(values)
    p = p_value(differences, flips=200)
    assert 0 < p <= 1
    assert p == p_value(-differences, flips=200)


@pytest.mark.parametrize("queries", [10, 60])
def test_calibrated_where_there_is_no_difference(queries):
    """Of 300 data sets without a difference, about one in twenty has p < .05."""
    draw = np.random.default_rng(11)
    skewed = draw.exponential(size=(2, 300, queries))  # like scores: bounded below, with ties at 0
    skewed[skewed < 0.4] = 0.0
    sets = skewed[0] - skewed[1]
    rejected = sum(p_value(one, flips=999, seed=i) < 0.05 for i, one in enumerate(sets))
    low, high = stats.binom.ppf([0.001, 0.999], 300, 0.05)
    assert rejected <= high
    if queries > EXACT:
        assert low <= rejected  # few queries allow only few values of p: the test is conservative
