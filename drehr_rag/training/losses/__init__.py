"""Similarities to one number: one module a loss, each with `build(**options)`."""

from typing import TYPE_CHECKING, Any, Protocol

from drehr_rag._registry import check_options, find

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Loss", "load_loss"]


class Loss(Protocol):
    """A contrastive loss over a batch of B anchors and its U unique entities."""

    def __call__(
        self,
        similarities: "Tensor",
        positives: "Tensor",
        *,
        masked: "Tensor | None" = None,
        hard: "Tensor | None" = None,
    ) -> "Tensor":
        """The loss as one number, differentiable in `similarities`.

        Args:
            similarities: Cosines, (B, U).
            positives: Columns of each anchor's positives, (B, n), with repetition. All positives
                of the other anchors are its negatives, as often as they occur.
            masked: True where an entity is no negative of an anchor, (B, U).
            hard: (anchor, column) of further negatives of one anchor each, (H, 2).
        """


def load_loss(name: str, **options: Any) -> Loss:
    """A loss by name: `multi-similarity`, `infonce`, or a third party's.

    Args:
        name: Its name.
        options: The loss's own, e.g. `variant="wang2019"`.

    Raises:
        UnknownName: There is none of this name, or it has no such option.
        TrainingError: An option's value cannot be meant.
    """
    build = find(__name__, name).build
    check_options(f"the loss {name}", build, options)
    loss: Loss = build(**options)
    return loss
