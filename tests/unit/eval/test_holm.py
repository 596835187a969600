"""Holm's correction, by hand and by the book."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.eval.comparing.holm import holm


def by_the_book(values):
    """As statsmodels has it: sort, multiply by m..1, running maximum, cut at 1, sort back."""
    p = np.asarray(values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    back = np.empty_like(stepped)
    back[order] = stepped
    return back


def test_a_worked_example():
    # sorted .005 .01 .03 .04 → times 4 3 2 1 → .02 .03 .06 .04 → the last no less than .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_comparison_needs_no_correction():
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=40))
def test_as_the_book_has_it(values):
    assert holm(values) == pytest.approx(by_the_book(values))
    assert all(after >= before for before, after in zip(values, holm(values), strict=True))
