"""Rows of all processes in each of them, with gradients back to where they came from.

Import needs torch.
"""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from drehr_rag.training.batches import Places
from drehr_rag.training.masking import Keys


class _GatherRows(torch.autograd.Function):
    """Forward: everybody's rows. Backward: the sum over processes of the own rows' gradients."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        sizes = _sizes(local)
        rank = dist.get_rank()
        ctx.own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        padded = local.new_zeros((max(sizes), *local.shape[1:]))  # equal shapes are asked for
        padded[: len(local)] = local.detach()
        blocks = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(blocks, padded)
        return torch.cat([block[:size] for block, size in zip(blocks, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        whole = gradients[0].contiguous().clone()
        dist.all_reduce(whole)
        return whole[ctx.own]


def gather_rows(local: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; each may have another number.

    Args:
        local: This process's, (rows, d).

    Returns:
        (all rows, d). Its gradients are summed over the processes before each takes its own rows',
        so whatever each computes of them counts.
    """
    rows: Tensor = _GatherRows.apply(local)
    return rows


def gather_places(local: Places, *, passages: int, entities: int) -> Places:
    """The places of all processes, pointing into the gathered rows.

    Args:
        local: This process's.
        passages: How many passages it has.
        entities: How many entities it has.
    """
    everybody: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everybody, (local, passages, entities))
    moved: list[Places] = []
    anchors = before_passages = before_entities = 0
    for places, own_passages, own_entities in everybody:
        moved.append(_moved(places, anchors, before_passages, before_entities))
        anchors += len(places.anchors)
        before_passages += own_passages
        before_entities += own_entities
    return _joined(moved)


def _moved(places: Places, anchors: int, passages: int, entities: int) -> Places:
    """The same, after so many anchors, passages and entities of other processes."""
    keys = places.keys
    return Places(
        anchors=places.anchors + passages,
        positives=places.positives + entities,
        hard=places.hard + np.array([anchors, entities]),
        keys=Keys(keys.own + np.array([anchors, 0]), keys.texts, keys.concepts),
    )


def _joined(parts: list[Places]) -> Places:
    keys = [part.keys for part in parts]
    return Places(
        anchors=np.concatenate([part.anchors for part in parts]),
        positives=np.concatenate([part.positives for part in parts]),
        hard=np.concatenate([part.hard for part in parts]),
        keys=Keys(
            np.concatenate([key.own for key in keys]),
            np.concatenate([key.texts for key in keys]),
            np.concatenate([key.concepts for key in keys]),
        ),
    )


def _sizes(local: Tensor) -> list[int]:
    """How many rows each process has."""
    sizes = [torch.zeros(1, dtype=torch.int64, device=local.device) for _ in range(_world())]
    dist.all_gather(sizes, torch.tensor([len(local)], device=local.device))
    return [int(size) for size in sizes]


def _world() -> int:
    return int(dist.get_world_size())
