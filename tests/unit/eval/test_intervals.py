"""Bootstrap intervals over queries, against scipy's and against the truth."""

import numpy as np
import pytest

from drehr_rag.errors import BadArgument
from drehr_rag.eval.comparing import _blocks
from drehr_rag.eval.comparing.intervals import intervals

stats = pytest.importorskip("scipy.stats")


def scipy_interval(data, statistic, draws):
    found = stats.bootstrap(
        data,
        statistic,
        n_resamples=draws,
        method="BCa",
        paired=True,
        vectorized=True,
        rng=np.random.default_rng(5),
    )
    return found.confidence_interval


@pytest.mark.parametrize("size", [12, 30, 80])  # the fewer, the more is corrected
def test_a_mean_agrees_with_scipys_bca(size):
    values = np.random.default_rng(size).exponential(size=size) ** 2
    ours = intervals(values[:, None], np.ones(size), resamples=40_000)[0]
    theirs = scipy_interval((values,), np.mean, 40_000)
    width = theirs.high - theirs.low
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.02 * width)


def test_a_pooled_mean_agrees_with_scipys_bca():
    draw = np.random.default_rng(1)
    sizes = draw.integers(1, 30, 60).astype(float)
    sums = sizes * draw.normal(0.5, 0.2, 60)

    def pooled(x, y, axis):
        return x.sum(axis=axis) / y.sum(axis=axis)

    ours = intervals(sums[:, None], sizes, resamples=40_000)[0]
    theirs = scipy_interval((sums, sizes), pooled, 40_000)
    width = theirs.high - theirs.low
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.03 * width)


def test_columns_are_what_they_are_alone():
    values = np.random.default_rng(2).normal(size=(50, 3))
    together = intervals(values, np.ones(50), resamples=2000)
    alone = [intervals(values[:, [c]], np.ones(50), resamples=2000)[0] for c in range(3)]
    assert together == pytest.approx(np.array(alone))


def test_blocks_change_nothing(monkeypatch):
    values = np.random.default_rng(2).normal(size=(50, 1))
    whole = intervals(values, np.ones(50), resamples=1000)
    monkeypatch.setattr(_blocks, "CELLS", 700)
    assert intervals(values, np.ones(50), resamples=1000) == pytest.approx(whole)


def test_the_other_sign_mirrors_the_interval():
    values = np.random.default_rng(4).exponential(size=(40, 1))
    low, high = intervals(values, np.ones(40), resamples=3000)[0]
    assert intervals(-values, np.ones(40), resamples=3000)[0] == pytest.approx([-high, -low])


def test_one_query_has_no_interval():
    assert np.isnan(intervals(np.ones((1, 2)), np.ones(1))).all()


def test_what_does_not_vary_is_a_point():
    assert intervals(np.full((30, 1), 0.5), np.ones(30))[0] == pytest.approx([0.5, 0.5])


def test_wrong_arguments_are_refused():
    with pytest.raises(BadArgument, match="level"):
        intervals(np.ones((3, 1)), np.ones(3), level=1.0)


def test_covers_the_truth_about_as_often_as_it_says():
    """300 data sets with notes of one query alike: 95 % intervals hold the true mean in ~95 %."""
    draw = np.random.default_rng(8)
    held = 0
    for i in range(300):
        sizes = draw.integers(1, 8, 100).astype(float)
        own = draw.normal(0.1, 0.3, 100)  # what all notes of the query share
        sums = np.array([draw.normal(m, 0.1, int(n)).sum() for m, n in np.c_[own, sizes]])
        low, high = intervals(sums[:, None], sizes, resamples=1000, seed=i)[0]
        held += low <= 0.1 <= high
    least, most = stats.binom.ppf([0.001, 0.999], 300, 0.95)
    assert least <= held <= most
