"""What stops a training: a loss that is no number, or evaluations that get no better."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from drehr_rag.errors import TrainingStopped

SHOWN = 8
"""Ids in the message; the error's `ids` are all of them."""


def stop_unless_finite(loss: float, ids: tuple[str, ...]) -> None:
    """Let a finite loss pass.

    Raises:
        TrainingStopped: It is NaN or infinite; going on would ruin the weights.
    """
    if isfinite(loss):
        return
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    raise TrainingStopped(
        f"the loss is {loss} for the batch of {', '.join(ids[:SHOWN])}{more}: nothing was learnt "
        "from it; a lower learning rate, or float32 in place of float16, may help",
        ids,
    )


def patience_is_over(
    history: Sequence[Mapping[str, Any]], metric: str | None, patience: int | None
) -> bool:
    """Whether the best evaluation is too long ago.

    Args:
        history: Rows of numbers; some of them have the metric.
        metric: Higher is better.
        patience: Evaluations without a new best; None is without end.
    """
    values = [row[metric] for row in history if metric in row] if metric else []
    since = len(values) - 1 - values.index(max(values)) if values else 0
    return patience is not None and since >= patience
