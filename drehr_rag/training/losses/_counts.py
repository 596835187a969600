"""How often each entity of a batch is a positive, and a negative, of each anchor.

The stacked form of the released code copies all negatives for each anchor: B × (B·n) × d numbers.
A repeated negative has the same similarity each time, so one column for each unique entity and a
count are enough: B × U numbers, and the same sums. Import needs torch.
"""

from math import isfinite

import torch
from torch import Tensor

from drehr_rag.errors import TrainingError

NOTHING = -1e30
"""Stands for the logarithm of 0: exp() of it is 0, and differences with it are still numbers, so
that a gradient through an empty sum is 0 and not NaN."""


def counts(
    similarities: Tensor, positives: Tensor, masked: Tensor | None, hard: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Multiplicities of positives and of negatives, each (B, U), in the similarities' type.

    An anchor's negatives are all positives of the other anchors, with repetition, and its own
    hard ones, without those that are masked.

    Raises:
        TrainingError: The shapes do not fit each other, or an anchor has no positives.
    """
    _check(similarities, positives, masked)
    own = torch.zeros_like(similarities, requires_grad=False)
    own.scatter_add_(1, positives, torch.ones_like(positives, dtype=own.dtype))
    others = own.sum(0) - own
    if hard is not None and len(hard):
        one = torch.ones(len(hard), dtype=own.dtype, device=own.device)
        others.index_put_((hard[:, 0], hard[:, 1]), one, accumulate=True)
    if masked is not None:
        others.masked_fill_(masked, 0)
    return own, others


def log(numbers: Tensor) -> Tensor:
    """Logarithms of counts; of 0 it is `NOTHING`."""
    return numbers.log().masked_fill_(numbers == 0, NOTHING)


def at_least_single(similarities: Tensor) -> Tensor:
    """Half precision to float32: it cannot count beyond 256, nor sum thousands of terms."""
    half = similarities.dtype in (torch.float16, torch.bfloat16)
    return similarities.float() if half else similarities


def positive_number(name: str, value: float) -> None:
    """Refuse an option that cannot be meant.

    Raises:
        TrainingError: It is not a finite number above 0.
    """
    if not (isfinite(value) and value > 0):
        raise TrainingError(f"{name} is {value}: it must be a number above 0")


def _check(similarities: Tensor, positives: Tensor, masked: Tensor | None) -> None:
    if positives.ndim != 2 or positives.shape[1] == 0:
        raise TrainingError(
            f"positives have the shape {tuple(positives.shape)}: each anchor needs at least one, "
            "(anchors, positives)"
        )
    if similarities.ndim != 2 or len(similarities) != len(positives):
        raise TrainingError(
            f"similarities have the shape {tuple(similarities.shape)} for {len(positives)} "
            "anchors: it must be (anchors, entities)"
        )
    if masked is not None and masked.shape != similarities.shape:
        raise TrainingError(
            f"the mask has the shape {tuple(masked.shape)}, the similarities "
            f"{tuple(similarities.shape)}: they must be the same"
        )
