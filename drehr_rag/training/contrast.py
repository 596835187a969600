"""Embeddings of a batch to its loss: one matrix product, no copies. Import needs torch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from drehr_rag.training.batches import Batch, Places
from drehr_rag.training.gather import gather_places, gather_rows
from drehr_rag.training.losses import Loss
from drehr_rag.training.masking import false_negatives
from drehr_rag.training.stopping import stop_unless_finite

SHORTEST = 1e-12
"""Of a vector's length, so that one of zeros has cosines of 0."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The loss of a batch, or of all processes' batches as if they were one.

    Attributes:
        loss: From `load_loss`.
        mask: Whether an entity that an anchor's own chunk has too is left out of its negatives.
        across: Whether the other processes' passages and entities take part. Each process then has
            the whole loss; under DDP, which averages, the parameters get the gradient that one
            process would have with the whole batch.
    """

    loss: Loss
    mask: bool = True
    across: bool = False

    def __call__(self, batch: Batch, passages: Tensor, entities: Tensor) -> Tensor:
        """The loss, one number.

        Args:
            batch: What was encoded.
            passages: Embeddings of its passages, of any length, (P, d).
            entities: Embeddings of its entities, (U, d).

        Raises:
            TrainingStopped: The loss is NaN or infinite; it names this process's examples.
        """
        places = batch.places
        if self.across:
            places = gather_places(places, passages=len(passages), entities=len(entities))
            passages, entities = gather_rows(passages), gather_rows(entities)
        value = self._of(places, passages, entities)
        stop_unless_finite(float(value.detach()), batch.ids)
        return value

    def _of(self, places: Places, passages: Tensor, entities: Tensor) -> Tensor:
        device = passages.device
        similarities = cosines(passages, entities)[torch.from_numpy(places.anchors).to(device)]
        masked = None
        if self.mask:
            found = false_negatives(places.keys, len(places.anchors))
            masked = torch.from_numpy(found).to(device)
        return self.loss(
            similarities,
            torch.from_numpy(places.positives).to(device),
            masked=masked,
            hard=torch.from_numpy(places.hard).to(device),
        )


def cosines(passages: Tensor, entities: Tensor) -> Tensor:
    """Cosine of each passage (P, d) with each entity (U, d), shape (P, U).

    There are far more entities than passages, so their lengths divide the product: entities of
    length 1 would be a copy, and two more on the way back.
    """
    lengths = entities.norm(dim=1).clamp_min(SHORTEST)
    return normalize(passages, dim=1, eps=SHORTEST) @ entities.T / lengths
