"""Means with intervals: every setting, match type and query type."""

import numpy as np
import pytest
from eval_results import made, rankings, task

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.comparing.intervals import intervals
from drehr_rag.eval.comparing.means import check_together, means
from drehr_rag.eval.scoring import Cell, mean, score


@pytest.fixture(scope="module")
def results():
    on = task(16)
    runs = [rankings(on, seed) for seed in (1, 2)]
    return [made(f"r{i}", [], cells=score(on, r), task_=on, run=r) for i, r in enumerate(runs)]


def test_each_mean_is_the_cells(results):
    rows = means(results)
    whole = [row for row in rows if row.part.type is None]
    assert {row.part.cell for row in whole} == set(results[0].scores)
    for row in whole:
        for result, found in zip(results, row.means, strict=True):
            assert found.value == pytest.approx(mean(result.scores[row.part.cell]))
            assert found.low <= found.value <= found.high


def test_types_are_parts_of_the_whole(results):
    rows = {row.part: row for row in means(results)}
    cell = Cell("multi-patient", "all", "RR")
    types = [row for part, row in rows.items() if part.cell == cell and part.type]
    assert sorted(row.part.type for row in types) == ["disease", "drug"]
    assert sum(row.queries for row in types) == 16


def test_an_interval_is_that_of_its_values_alone(results):
    cell = Cell("multi-patient", "all", "nDCG@10")
    row = next(row for row in means(results, seed=3) if row.part == (cell, None))
    values = np.array(list(results[1].scores[cell].values()))[:, None]
    alone = intervals(values, np.ones(16), seed=3)[0]
    assert (row.means[1].low, row.means[1].high) == pytest.approx(tuple(alone))


def test_one_query_has_a_mean_and_no_interval():
    (row, *_) = means([made("a", [0.5])])
    assert (row.means[0].value, row.means[0].low) == (0.5, None)


def test_what_cannot_stand_together_is_refused(results):
    with pytest.raises(EvaluationError, match="no result"):
        check_together([])
    with pytest.raises(EvaluationError, match="queries are not the same"):
        check_together([results[0], made("b", [0.1])])
