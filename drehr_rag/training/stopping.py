"""A loss that is no number stops the training, and says with which examples."""

from math import isfinite

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
