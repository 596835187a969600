"""One step: texts to embeddings to a loss to gradients, at once or chunk by chunk. Needs torch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from drehr_rag.training.batches import Batch
from drehr_rag.training.contrast import SHORTEST, Contrast
from drehr_rag.training.grad_cache import Part, cached_backward
from drehr_rag.training.losses._counts import at_least_single
from drehr_rag.training.model import Embed, TrainableEncoder
from drehr_rag.training.stopping import stop_unless_finite
from drehr_rag.training.tokens import Tokens, in_chunks, on_device

BUCKET = 64
"""Texts that are encoded together where nothing is cached: enough to fill a processor, and few
enough to be of about the same length."""

PASSAGES, ENTITIES = 0, 1


@dataclass(frozen=True, slots=True)
class Item:
    """A batch ready for the model: made by the data loader, maybe in another process."""

    batch: Batch
    tokens: tuple[Tokens, Tokens] = field(repr=False)


def item(model: TrainableEncoder, batch: Batch, *, size: int) -> Item:
    """The batch's passages and entities as tokens, each text once, so many in a chunk."""
    passages = model.features(batch.passages, query=False)
    entities = model.features(batch.entities, query=True)
    return Item(batch, (in_chunks(passages, size), in_chunks(entities, size)))


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step of training does with a batch.

    Attributes:
        contrast: The loss.
        device: Where the model is.
        cached: Whether chunk by chunk (GradCache), or everything at once.
        keep: Weight of the term that holds embeddings where the initial model has them.
        backward: What runs `loss.backward()`.
        autocast: Makes what the initial model computes in.
    """

    contrast: Contrast
    device: torch.device
    cached: bool = False
    keep: float = 0.0
    backward: Callable[[Tensor], object] = Tensor.backward
    autocast: Callable[[], AbstractContextManager[Any]]

    def __call__(
        self,
        embed: Embed,
        model: TrainableEncoder,
        one: Item,
        *,
        unsynchronised: Callable[[], AbstractContextManager[Any]],
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Add the gradients; the loss, and the numbers that it is made of.

        Args:
            embed: The model, maybe wrapped by DDP or for mixed precision.
            model: The model itself.
            one: A batch.
            unsynchronised: `no_sync` of a model in DDP.

        Raises:
            TrainingStopped: The loss is no finite number; no gradient was added.
        """
        before = self._before(model, one) if self.keep else None
        parts: dict[str, float] = {}

        def loss(*sorted_rows: Tensor) -> Tensor:
            rows = [rows[_back(t, rows)] for rows, t in zip(sorted_rows, one.tokens, strict=True)]
            value = self.contrast(one.batch, *rows)
            if before is None:
                return value
            drift = 1 - cosine_similarity(torch.cat(sorted_rows), before, eps=SHORTEST).mean()
            stop_unless_finite(float(drift.detach()), one.batch.ids)
            parts.update(contrast=float(value.detach()), drift=float(drift.detach()))
            return value + self.keep * drift

        def encode(features: Any) -> Tensor:
            return embed(on_device(features, self.device))

        if self.cached:
            both = [Part(encode, tokens.chunks) for tokens in one.tokens]
            return cached_backward(both, loss, unsynchronised=unsynchronised), parts
        value = loss(*(torch.cat([encode(c) for c in tokens.chunks]) for tokens in one.tokens))
        self.backward(value)
        return value.detach(), parts

    def _before(self, model: TrainableEncoder, one: Item) -> Tensor:
        """The initial model's embeddings, all passages and then all entities, as sorted."""
        with model.initial() as embed, self.autocast():
            chunks = [*one.tokens[PASSAGES].chunks, *one.tokens[ENTITIES].chunks]
            return at_least_single(torch.cat([embed(on_device(c, self.device)) for c in chunks]))


def _back(tokens: Tokens, rows: Tensor) -> Tensor:
    return tokens.back.to(rows.device)
