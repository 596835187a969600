"""Recall by depth, against ir_measures' recall at each depth."""

import ir_measures
import numpy as np
import pytest
from eval_results import made, rankings, task
from ir_measures import R

from drehr_rag.eval.depth import DEPTHS, curve, ranks


@pytest.fixture
def found():
    on = task(12)
    return made("a", [0.0] * 12, task_=on, run=rankings(on, 3, depth=25))


def test_each_depth_agrees_with_ir_measures(found):
    qrels = {q: {c: j.grade for c, j in row.items()} for q, row in found.qrels.items()}
    wanted = ir_measures.calc_aggregate([R @ k for k in DEPTHS], qrels, found.run)
    assert curve(found).mean == pytest.approx([wanted[R @ k] for k in DEPTHS])


def test_bands_hold_the_mean_and_curves_never_fall(found):
    line = curve(found)
    assert (line.low <= line.mean).all()
    assert (line.mean <= line.high).all()
    assert (np.diff(line.mean) >= 0).all()


def test_ties_rank_as_trec_eval_ranks_them():
    one = made("a", [0.0], run={"q0": {"c1": 1.0, "c2": 1.0, "c0": 2.0}})
    assert ranks(one) == {"q0": {"c0": 1, "c2": 2, "c1": 3}}


def test_a_query_that_found_nothing_has_no_recall():
    assert curve(made("a", [0.0], run={"q0": {}})).mean.tolist() == [0.0] * len(DEPTHS)
