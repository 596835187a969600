"""Coverage against accuracy, by hand and against a loop over every order of ties."""

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.eval.qa.scores.abstention import Graded, Point, aurc, curve


def naive(graded):
    """Mean risk over all coverages, averaged over every order that the confidences allow."""
    areas = []
    for order in permutations(graded):
        ranks = [g.confidence if g.answered else float("-inf") for g in order]
        if all(a >= b for a, b in pairwise(ranks)):
            losses = [g.loss if g.answered else 1.0 for g in order]
            risks = [sum(losses[:n]) / n for n in range(1, len(order) + 1)]
            areas.append(sum(risks) / len(risks))
    return sum(areas) / len(areas)


graded = st.builds(
    Graded,
    loss=st.sampled_from([0.0, 0.25, 1.0]),
    answered=st.booleans(),
    confidence=st.sampled_from([0.1, 0.5, 0.9]),
)


@given(st.lists(graded, min_size=1, max_size=6))
def test_aurc_against_the_loop(items):
    assert aurc(items) == pytest.approx(naive(items))


def test_by_hand():
    items = [
        Graded(0.0, True, 0.9),
        Graded(1.0, True, 0.8),
        Graded(0.0, True, 0.7),
        Graded(0.0, False),
    ]
    assert aurc(items) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert curve(items) == [
        Point(0.9, 1 / 4, 1.0),
        Point(0.8, 2 / 4, 1 / 2),
        Point(0.7, 3 / 4, pytest.approx(2 / 3)),
    ]


def test_a_chain_without_confidence_has_one_point():
    items = [Graded(0.0, True), Graded(1.0, True), Graded(0.0, False), Graded(0.0, False)]
    assert curve(items) == [Point(1.0, 0.5, 0.5)]
    assert aurc(items) == pytest.approx((0.5 + 0.5 + 2 / 3 + 3 / 4) / 4)


def test_nobody_answered_and_nobody_asked():
    assert curve([Graded(0.0, False)]) == [] and aurc([Graded(0.0, False)]) == 1
    assert aurc([]) is None
