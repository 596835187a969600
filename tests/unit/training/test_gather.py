"""Two processes (gloo) together have the loss and the gradients of one with the whole batch."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel
from unit.training.tiny_bert import cls, gradients, tiny_bert
from unit.training.training_examples import make_examples

from drehr_rag.training.batches import collate
from drehr_rag.training.contrast import Contrast
from drehr_rag.training.gather import gather_rows
from drehr_rag.training.grad_cache import Part, cached_backward
from drehr_rag.training.losses import load_loss

pytestmark = [
    pytest.mark.slow,  # processes that import torch
    pytest.mark.skipif(not dist.is_available(), reason="torch without distributed"),
]

EXAMPLES = make_examples(9)
SHARES = (EXAMPLES[:4], EXAMPLES[4:])
"""Unequal, and with unequal numbers of unique passages and entities."""

LOSSES = {
    "released": load_loss("multi-similarity"),
    "wang2019": load_loss("multi-similarity", variant="wang2019"),
    "infonce": load_loss("infonce"),
}


def encoded(model, batch):
    return cls(model, batch.passages), cls(model, batch.entities)


def started(rank, target, folder):
    """What runs in each process: the group by a file, no port."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    try:
        torch.save(target(rank), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def in_two_processes(target, folder):
    mp.spawn(started, (target, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def rows_with_gradient(rank):
    """Each weighs the gathered rows by its own numbers; process 1 has no rows the second time."""
    found = []
    for sizes in ((3, 1), (2, 0)):
        own = torch.full((sizes[rank], 2), rank + 1.0, requires_grad=True)
        whole = gather_rows(own)
        weights = torch.arange(len(whole))[:, None] + 10.0 * rank
        (whole * weights).sum().backward()
        found.append((whole.detach(), own.grad))
    return found


def test_rows_of_all_and_the_sum_of_their_gradients(tmp_path):
    first, second = in_two_processes(rows_with_gradient, tmp_path)
    for (rows, grad), (same, other), sizes in zip(first, second, ((3, 1), (2, 0)), strict=True):
        assert rows.tolist() == same.tolist() == [[1, 1]] * sizes[0] + [[2, 2]] * sizes[1]
        every = [[2 * i + 10.0] * 2 for i in range(sum(sizes))]
        assert grad.tolist() + other.tolist() == every


def joined_losses(rank):
    """Value and gradients of this process's share, for each loss."""
    found = {}
    for name, loss in LOSSES.items():
        for mask in (True, False):
            model = tiny_bert(dropout=0.0)
            batch = collate(SHARES[rank], positives=4)
            value = Contrast(loss=loss, mask=mask, across=True)(batch, *encoded(model, batch))
            value.backward()
            found[name, mask] = value.detach(), gradients(model)
    return found


def test_loss_and_gradients_equal_those_of_one_process(tmp_path):
    first, second = in_two_processes(joined_losses, tmp_path)
    batch = collate(EXAMPLES, positives=4)
    for (name, mask), (value, own) in first.items():
        model = tiny_bert(dropout=0.0)
        whole = Contrast(loss=LOSSES[name], mask=mask)(batch, *encoded(model, batch))
        whole.backward()
        torch.testing.assert_close(value, whole.detach(), rtol=1e-12, atol=0)
        assert second[name, mask][0] == value
        expected = gradients(model)
        for parameter, gradient in expected.items():
            mean = (own[parameter] + second[name, mask][1][parameter]) / 2  # what DDP makes of it
            torch.testing.assert_close(mean, gradient, rtol=1e-9, atol=1e-12)


def chunked_in_ddp(rank):
    """GradCache inside DDP, two texts a chunk, gathered."""
    model = DistributedDataParallel(tiny_bert(dropout=0.0))
    contrast = Contrast(loss=LOSSES["released"], across=True)
    batch = collate(SHARES[rank], positives=4)
    parts = [
        Part(lambda some: cls(model, some), [texts[i : i + 2] for i in range(0, len(texts), 2)])
        for texts in (batch.passages, batch.entities)
    ]
    value = cached_backward(parts, lambda p, e: contrast(batch, p, e), unsynchronised=model.no_sync)
    return value, gradients(model.module)


def test_chunked_and_gathered_in_ddp_equals_one_process(tmp_path):
    first, second = in_two_processes(chunked_in_ddp, tmp_path)
    model, batch = tiny_bert(dropout=0.0), collate(EXAMPLES, positives=4)
    whole = Contrast(loss=LOSSES["released"])(batch, *encoded(model, batch))
    whole.backward()
    expected = gradients(model)
    for value, found in (first, second):
        torch.testing.assert_close(value, whole.detach(), rtol=1e-12, atol=0)
        for parameter, gradient in expected.items():
            torch.testing.assert_close(found[parameter], gradient, rtol=1e-9, atol=1e-12)
