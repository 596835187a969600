"""Losses by name, options and shapes that cannot be meant, and what stops a training.

Their values and gradients are in `tests/reference/test_multi_similarity.py`.
"""

import math

import pytest

torch = pytest.importorskip("torch")

from drehr_rag._registry import names
from drehr_rag.errors import TrainingError, TrainingStopped, UnknownName
from drehr_rag.training.batches import collate
from drehr_rag.training.contrast import Contrast
from drehr_rag.training.examples import Example
from drehr_rag.training.losses import load_loss
from drehr_rag.training.losses.multi_similarity import multi_similarity

LOSSES = [
    load_loss("multi-similarity"),
    load_loss("multi-similarity", variant="wang2019"),
    load_loss("infonce"),
    load_loss("infonce", symmetric=True),
]


def test_names():
    assert names("drehr_rag.training.losses") == ["infonce", "multi-similarity"]
    assert load_loss("multi_similarity", variant="wang2019") == multi_similarity(variant="wang2019")
    assert "variant='released'" in repr(load_loss("multi-similarity"))


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("infonc", {}, UnknownName, "Did you mean 'infonce'"),
        ("infonce", {"variant": "x"}, UnknownName, "only temperature, symmetric, not variant"),
        ("infonce", {"temperature": 0.0}, TrainingError, "temperature is 0.0"),
        ("multi-similarity", {"variant": "wang"}, TrainingError, "there are released, wang2019"),
        ("multi-similarity", {"scale_neg": float("nan")}, TrainingError, "scale_neg is nan"),
        ("multi-similarity", {"scale_pos": -2.0}, TrainingError, "scale_pos is -2.0"),
    ],
)
def test_what_cannot_be_meant(name, options, error, said):
    with pytest.raises(error, match=said):
        load_loss(name, **options)


@pytest.mark.parametrize("masking", [False, True])
def test_symmetric_is_the_mean_of_both_directions(masking):
    """Each pair against the anchor's negatives, and against the chunks without the entity."""
    s = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.7, 0.6], [0.4, 0.5, -0.2]], dtype=torch.float64)
    positives = torch.tensor([[0, 1], [1, 1], [2, 0]])
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[1, 2] = masking
    rows = positives.tolist()
    own, across, t = [], [], 0.05
    for b, row in enumerate(rows):
        for u in row:
            pair = math.exp(s[b, u] / t)
            others = [o for a in range(3) if a != b for o in rows[a] if not mask[b, o]]
            below = sum(math.exp(s[b, o] / t) for o in others)
            own.append(-math.log(pair / (pair + below)))
            chunks = [a for a in range(3) if u not in rows[a] and not mask[a, u]]
            below = sum(math.exp(s[a, u] / t) for a in chunks)
            across.append(-math.log(pair / (pair + below)))
    masked = mask if masking else None
    found = load_loss("infonce", symmetric=True)(s, positives, masked=masked)
    assert found.item() == pytest.approx((sum(own) + sum(across)) / 12, rel=1e-12)
    both = load_loss("infonce", symmetric=True)
    assert torch.autograd.gradcheck(
        lambda x: both(x, positives, masked=masked), s.clone().requires_grad_()
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_that_do_not_fit(loss):
    s = torch.zeros(2, 3)
    with pytest.raises(TrainingError, match=r"\(2, 0\): each anchor needs at least one"):
        loss(s, torch.zeros(2, 0, dtype=torch.int64))
    with pytest.raises(TrainingError, match=r"similarities have the shape \(2, 3\) for 4 anchors"):
        loss(s, torch.zeros(4, 1, dtype=torch.int64))
    mask = torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(TrainingError, match=r"the mask has the shape \(3, 2\)"):
        loss(s, torch.zeros(2, 1, dtype=torch.int64), masked=mask)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_negatives_have_a_finite_loss_and_no_gradient(loss):
    s = torch.rand(1, 4, requires_grad=True)
    loss(s, torch.tensor([[0, 1, 1, 3]])).backward()
    assert s.grad.eq(0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_counted_in_single(loss, dtype):
    """An entity that 40 chunks have 8 times each: bfloat16 counts no further than 256."""
    s = torch.rand(40, 3).to(dtype).requires_grad_()
    positives = torch.zeros(40, 8, dtype=torch.int64)
    value = loss(s, positives)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(s.double(), positives).float())
    value.backward()
    assert s.grad.dtype == dtype


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_far_scores_do_not_overflow(loss, scale):
    s = (torch.rand(4, 8) * 2 - 1).mul(min(scale, 300)).requires_grad_()
    value = loss(s, torch.arange(8).reshape(4, 2))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(s.grad).all()


def batch_of(count):
    return collate(
        [Example(idx=f"n{i}", text=f"secret {i}", entities=(f"e{i}",)) for i in range(count)],
        positives=2,
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_the_ids(loss, value):
    batch = batch_of(11)
    passages = torch.rand(11, 4)
    passages[3, 1] = value
    with pytest.raises(TrainingStopped) as stopped:
        Contrast(loss=loss)(batch, passages, torch.rand(11, 4))
    assert stopped.value.ids == tuple(f"n{i}" for i in range(11))
    assert "n0, n1, n2, n3, n4, n5, n6, n7 and 3 more" in str(stopped.value)
    assert "secret" not in str(stopped.value)


@pytest.mark.parametrize("loss", LOSSES)
def test_masking_is_an_option_and_hard_negatives_take_part(loss):
    torch.manual_seed(0)
    examples = [
        Example(idx="1", text="a", entities=("x", "y"), negatives=("w",)),
        Example(idx="2", text="b", entities=("y", "z")),
    ]
    batch = collate(examples, positives=2)
    passages, entities = torch.rand(2, 4), torch.rand(4, 4)
    assert batch.entities == ("x", "y", "z", "w")
    cosines = torch.cosine_similarity(passages[:, None], entities[None], dim=-1)
    positives, hard = torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0, 3]])
    shared = torch.tensor([[True, True, False, False], [False, True, True, False]])
    for mask in (True, False):
        value = Contrast(loss=loss, mask=mask)(batch, passages, entities)
        expected = loss(cosines, positives, masked=shared if mask else None, hard=hard)
        torch.testing.assert_close(value, expected)
