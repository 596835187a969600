"""What only the first of several processes does, and the others are told. Needs torch."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist
from transformers import TrainingArguments

from drehr_rag.errors import DrehrError, TrainingError

T = TypeVar("T")


def in_first(args: TrainingArguments, make: Callable[[], T]) -> T:
    """What the first process makes, in all of them.

    Args:
        args: Know which process this is.
        make: Called once; what it gives must be possible to pickle.

    Raises:
        TrainingError: What stopped the first process, in the others; there it is as it was.
    """
    if args.world_size == 1:
        return make()
    found: list[Any] = [None, None]
    stopped = None
    if args.process_index == 0:
        try:
            found[0] = make()
        except DrehrError as problem:
            stopped, found[1] = problem, str(problem)
    dist.broadcast_object_list(found)
    if stopped is not None:
        raise stopped
    if found[1] is not None:
        raise TrainingError(found[1])
    made: T = found[0]
    return made
