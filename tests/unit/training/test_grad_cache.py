"""Chunk by chunk, gradients are those of the whole graph at once, dropout included."""

from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from unit.training.tiny_bert import cls, gradients, tiny_bert
from unit.training.training_examples import make_examples

from drehr_rag.errors import TrainingStopped
from drehr_rag.training.batches import collate
from drehr_rag.training.contrast import Contrast
from drehr_rag.training.grad_cache import Part, cached_backward
from drehr_rag.training.losses import load_loss

LOSSES = {
    "released": load_loss("multi-similarity"),
    "wang2019": load_loss("multi-similarity", variant="wang2019"),
    "infonce": load_loss("infonce"),
}


def chunks(texts, size):
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def parts(model, batch, size):
    def encode(texts):
        return cls(model, texts)

    return [Part(encode, chunks(texts, size)) for texts in (batch.passages, batch.entities)]


def at_once(model, contrast, batch, size):
    """The same chunks and random numbers, but one graph over all of them."""
    found = [torch.cat([part.encode(c) for c in part.chunks]) for part in parts(model, batch, size)]
    value = contrast(batch, *found)
    value.backward()
    return value.detach()


def compare(one, other):
    assert one.keys() == other.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in one.values())
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_gradients_with_dropout_equal_those_of_one_graph(name, size):
    model, contrast = tiny_bert(), Contrast(loss=LOSSES[name])
    batch = collate(make_examples(7), positives=4)
    torch.manual_seed(5)
    whole = at_once(model, contrast, batch, size)
    expected = gradients(model)
    torch.manual_seed(5)
    value = cached_backward(parts(model, batch, size), lambda p, e: contrast(batch, p, e))
    torch.testing.assert_close(value, whole, rtol=1e-12, atol=0)
    assert not value.requires_grad
    compare(gradients(model), expected)


def test_without_dropout_the_size_of_the_chunks_does_not_matter():
    model, contrast = tiny_bert(dropout=0.0), Contrast(loss=LOSSES["released"])
    batch = collate(make_examples(7), positives=4)
    at_once(model, contrast, batch, 100)
    expected = gradients(model)
    for size in (1, 4):
        cached_backward(parts(model, batch, size), lambda p, e: contrast(batch, p, e))
        compare(gradients(model), expected)


def test_random_numbers_go_on_after_it():
    """Else each step would drop out what the one before it did."""
    model, contrast = tiny_bert(), Contrast(loss=LOSSES["released"])
    batch = collate(make_examples(4), positives=2)
    torch.manual_seed(5)
    at_once(model, contrast, batch, 2)
    after = torch.rand(3)
    torch.manual_seed(5)
    first = cached_backward(parts(model, batch, 2), lambda p, e: contrast(batch, p, e))
    assert torch.equal(torch.rand(3), after)
    assert cached_backward(parts(model, batch, 2), lambda p, e: contrast(batch, p, e)) != first


def test_only_one_chunk_has_a_graph_at_a_time():
    """Counted by the graphs alive while each chunk is encoded."""
    alive, most = 0, 0

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, rows):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return rows * 2

        @staticmethod
        def backward(ctx, gradient):
            nonlocal alive
            alive -= 1
            return gradient * 2

    weights = torch.rand(4, 4, dtype=torch.float64, requires_grad=True)

    def encode(rows):
        rows = rows @ weights
        return Counted.apply(rows) if torch.is_grad_enabled() else rows * 2

    inputs = [torch.rand(2, 4, dtype=torch.float64) for _ in range(5)]
    cached_backward([Part(encode, inputs)], lambda rows: rows.square().sum())
    assert most == 1
    expected = 8 * torch.cat(inputs).T @ torch.cat(inputs) @ weights.detach()
    torch.testing.assert_close(weights.grad, expected)


def test_all_but_the_last_chunk_are_unsynchronised():
    """What DDP needs: it exchanges gradients once, in the last backward pass."""
    seen = []
    weights = torch.ones(2, requires_grad=True)
    inside = False

    @contextmanager
    def unsynchronised():
        nonlocal inside
        inside = True
        yield
        inside = False

    def encode(rows):
        if torch.is_grad_enabled():
            seen.append(inside)
        return rows * weights

    both = [Part(encode, [torch.ones(1, 2)] * 2), Part(encode, [torch.ones(3, 2)])]
    cached_backward(both, lambda p, e: p.sum() * e.sum(), unsynchronised=unsynchronised)
    assert seen == [True, True, False]


def test_a_part_that_the_loss_does_not_use_has_no_gradient():
    used, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    rows = [torch.ones(1, 2)]
    both = [Part(lambda r: r * used, rows), Part(lambda r: r * unused, rows)]
    cached_backward(both, lambda p, e: p.sum())
    assert used.grad.tolist() == [1, 1]
    assert unused.grad.tolist() == [0, 0]


def test_a_loss_that_is_no_number_leaves_the_parameters_alone():
    model, contrast = tiny_bert(), Contrast(loss=LOSSES["released"])
    batch = collate(make_examples(3), positives=2)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[1] = float("nan")
    with pytest.raises(TrainingStopped, match="n0, n1, n2"):
        cached_backward(parts(model, batch, 2), lambda p, e: contrast(batch, p, e))
    assert gradients(model) == {}
