"""Contrastive batches larger than memory: the loss sees all, the encoder a chunk at a time.

```text
chunks ── encode, no graph ──► embeddings ── loss, backward ──► a gradient for each embedding
   └────── encode again, same random numbers ──► backward from that gradient, chunk by chunk
```

Gao et al. 2021 (GradCache): gradients equal those of the whole graph at once, for the price of one
more forward pass. Import needs torch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """What goes through one encoder.

    Attributes:
        encode: A chunk of the input to its embeddings, (rows, d), with the model's graph.
        chunks: The input in order; anything that `encode` takes.
    """

    encode: Callable[[Any], Tensor]
    chunks: Sequence[Any]


def cached_backward(
    parts: Sequence[Part],
    loss: Callable[..., Tensor],
    *,
    unsynchronised: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Add to the parameters the gradients that `loss(*embeddings).backward()` would.

    Args:
        parts: For instance passages and entities.
        loss: Takes the embeddings of each part, all its chunks in one tensor, to one number.
        unsynchronised: Stands around each backward pass but the last: `no_sync` of a model in DDP.

    Returns:
        The loss, without a graph. Where `loss` raises, no parameter has been touched.
    """
    cached = [_cached(part) for part in parts]
    leaves = [torch.cat([rows for rows, _ in one]).requires_grad_() for one in cached]
    value = loss(*leaves)
    value.backward()
    again = [
        (part.encode, chunk, state, gradient)
        for part, one, leaf in zip(parts, cached, leaves, strict=True)
        for chunk, (_, state), gradient in zip(part.chunks, one, _split(leaf, one), strict=True)
    ]
    del cached, leaves
    for number, (encode, chunk, state, gradient) in enumerate(again, 1):
        with nullcontext() if number == len(again) else unsynchronised(), state.restored():
            encode(chunk).backward(gradient)
    return value.detach()


@dataclass(frozen=True, slots=True)
class _RandomState:
    """Where the random numbers of the processor and of the accelerators stand."""

    processor: Tensor
    accelerators: tuple[Tensor, ...]

    @classmethod
    def now(cls) -> "_RandomState":
        used = torch.cuda.is_available() and torch.cuda.is_initialized()
        devices = torch.cuda.get_rng_state_all() if used else []
        return cls(torch.get_rng_state(), tuple(devices))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """As it was then; afterwards as it is now, so that dropout does not repeat itself."""
        with torch.random.fork_rng(devices=range(len(self.accelerators))):
            torch.set_rng_state(self.processor)
            for device, state in enumerate(self.accelerators):
                torch.cuda.set_rng_state(state, device)
            yield


def _cached(part: Part) -> list[tuple[Tensor, _RandomState]]:
    """Each chunk's embeddings without a graph, and the random state they were made in."""
    found = []
    with torch.no_grad():
        for chunk in part.chunks:
            state = _RandomState.now()
            found.append((part.encode(chunk), state))
    return found


def _split(leaf: Tensor, cached: Sequence[tuple[Tensor, _RandomState]]) -> Sequence[Tensor]:
    """The gradient of each chunk's embeddings; zeros where the loss does not depend on them."""
    whole = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    chunks: Sequence[Tensor] = whole.split([len(rows) for rows, _ in cached])
    return chunks
