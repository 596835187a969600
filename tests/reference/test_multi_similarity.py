"""The losses against plain loops written from PAPER.md, against finite differences, and stacked.

A case is a table of unique entity vectors and, for each anchor, columns of that table; the
reference and the stacked form get a copy of the vector for each.
"""

import math
from functools import cache, partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from reference import multi_similarity_reference as reference

from benchmarks import stacked_losses
from drehr_rag.training.contrast import cosines
from drehr_rag.training.losses import load_loss

NAMES = ["released", "wang2019", "infonce"]
REFERENCES = {name: getattr(reference, name) for name in NAMES}

CASES = {
    "plain": [[0, 1, 2], [3, 4, 5], [6, 7, 8]],
    "single positive": [[0], [1], [2], [3]],
    "repeated positives": [[0, 0, 1], [2, 3, 3], [4, 4, 4]],
    "shared by two chunks": [[0, 1, 2], [2, 3, 3], [4, 2, 0]],
    "one chunk": [[0, 1, 1]],
    "the same entities": [[0, 1], [1, 0]],
}


@cache
def loss_of(name):
    return (
        load_loss("infonce") if name == "infonce" else load_loss("multi-similarity", variant=name)
    )


def vectors(rows, dimension=3, seed=0):
    """Random, and all near one direction, so that pairs of every kind are kept."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, dimension)) + rng.normal(size=dimension)


def excluded_of(positives, masked):
    """`(i, k, j)` of the reference from (anchor, column)."""
    return {
        (i, k, j)
        for i, column in masked
        for k, row in enumerate(positives)
        for j, entity in enumerate(row)
        if entity == column
    }


def shared(positives):
    """(anchor, column) of each anchor's own entities: as negatives they would be false."""
    return {(i, column) for i, row in enumerate(positives) for column in row}


def everything(positives):
    return {(i, c) for i in range(len(positives)) for row in positives for c in row}


def by_reference(name, positives, masked, hard, anchors, entities):
    """Value by plain loops."""
    anchors, entities = anchors.tolist(), entities.tolist()  # faster to go through
    further = {}
    for i, column in hard:
        if (i, column) not in masked:  # a mask holds for these too
            further.setdefault(i, []).append(entities[column])
    copies = [[entities[column] for column in row] for row in positives]
    excluded = excluded_of(positives, masked)
    return REFERENCES[name](anchors, copies, excluded=excluded, hard=further)


def ours(name, positives, masked, hard, anchors, entities):
    """Value by the package."""
    mask = torch.zeros(len(anchors), len(entities), dtype=torch.bool)
    for i, column in masked:
        mask[i, column] = True
    return loss_of(name)(
        cosines(anchors, entities),
        torch.tensor(positives),
        masked=mask if masked else None,
        hard=torch.tensor(hard).reshape(-1, 2),
    )


def leaf(array, dtype=torch.float64):
    return torch.tensor(array, dtype=dtype, requires_grad=True)


def check(name, positives, masked=frozenset(), hard=(), seed=0):
    """Value and gradient of ours beside the reference's, and by torch's own differences."""
    columns = 1 + max([*(c for row in positives for c in row), *(c for _, c in hard)])
    anchors, entities = vectors(len(positives), seed=seed), vectors(columns, seed=seed + 100)
    plain = partial(by_reference, name, positives, masked, hard)
    a, e = leaf(anchors), leaf(entities)
    value = ours(name, positives, masked, hard, a, e)
    assert abs(float(value.detach()) - plain(anchors, entities)) < 1e-12
    value.backward()
    np.testing.assert_allclose(
        a.grad, reference.gradient(lambda x: plain(x, entities), anchors), atol=2e-8
    )
    np.testing.assert_allclose(
        e.grad, reference.gradient(lambda x: plain(anchors, x), entities), atol=2e-8
    )
    function = partial(ours, name, positives, masked, hard)
    assert torch.autograd.gradcheck(function, (leaf(anchors), leaf(entities)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("masking", ["none", "own", "all"])
def test_value_and_gradient(name, case, masking):
    positives = CASES[case]
    masked = {"none": set(), "own": shared(positives), "all": everything(positives)}[masking]
    check(name, positives, masked)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["plain", "shared by two chunks", "one chunk"])
def test_hard_negatives(name, case):
    """Two of one anchor, one of them outside the batch's positives, one twice."""
    check(name, CASES[case], hard=[(0, 9), (0, 10), (0, 10)])
    check(name, CASES[case], masked=shared(CASES[case]) | {(0, 9)}, hard=[(0, 9), (0, 10)])


@st.composite
def batches(draw):
    count, n, columns = (draw(st.integers(1, top)) for top in (5, 6, 9))
    row = st.lists(st.integers(0, columns - 1), min_size=n, max_size=n)
    positives = draw(st.lists(row, min_size=count, max_size=count))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, columns - 1))
    return positives, draw(st.sets(pair, max_size=8)), draw(st.lists(pair, max_size=4))


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(NAMES), batch=batches(), seed=st.integers(0, 99))
def test_random_batches(name, batch, seed):
    positives, masked, hard = batch
    columns = 1 + max([*(c for row in positives for c in row), *(c for _, c in hard)])
    masked = {(i, column) for i, column in masked if column < columns}
    anchors, entities = vectors(len(positives), seed=seed), vectors(columns, seed=seed + 100)
    a, e = leaf(anchors), leaf(entities)
    value = ours(name, positives, masked, hard, a, e)
    plain = by_reference(name, positives, masked, hard, anchors, entities)
    assert abs(float(value.detach()) - plain) < 1e-12
    value.backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(e.grad).all()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("name", ["released", "wang2019"])
@pytest.mark.parametrize("seed", range(5))
def test_the_stacked_form_has_the_equal_value_and_gradient(name, seed, dtype, error):
    """16 chunks × 24 positives of 96 entities in 32 dimensions: many repeat."""
    rng = np.random.default_rng(seed)
    positives = rng.integers(0, 96, (16, 24))
    anchors, entities = vectors(16, 32, seed), vectors(96, 32, seed + 100)
    results = []
    for form in ("ours", "stacked"):
        a, e = leaf(anchors, dtype), leaf(entities, dtype)
        if form == "ours":
            value = ours(name, positives.tolist(), (), (), a, e)
        else:
            value = getattr(stacked_losses, name)(a, e[torch.tensor(positives)])
        value.backward()
        results.append((value.detach(), a.grad, e.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=error)


def test_by_hand():
    """Two chunks, two entities, right angles: cosines are 1, 0 and 0, 1; nothing is hard."""
    eye = torch.eye(2, dtype=torch.float64)
    positives = torch.tensor([[0], [1]])
    released = loss_of("released")(cosines(eye, eye), positives)
    pulled = math.log(1 + 2 * math.exp(1)) / 2  # kept are none: as similarity 0
    pushed = math.log(1 + 2 * math.exp(-25)) / 50
    assert float(released) == pytest.approx((pulled + pushed) / 2, abs=1e-15)
    assert float(loss_of("wang2019")(cosines(eye, eye), positives)) == 0
    swapped = loss_of("wang2019")(cosines(eye, eye), positives.flip(0))
    expected = math.log(1 + math.exp(1)) / 2 + math.log(1 + math.exp(25)) / 50
    assert float(swapped) == pytest.approx(expected, abs=1e-15)
