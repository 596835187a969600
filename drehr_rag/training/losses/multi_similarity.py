"""Multi-Similarity loss: as DR.EHR's authors released it, or as Wang et al. 2019 define it.

Both keep a pair only if it is hard: a positive less than `margin` above the hardest negative of its
anchor, a negative less than `margin` below the easiest positive. They differ in what follows
(PAPER.md §1). Import needs torch.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from drehr_rag.errors import TrainingError
from drehr_rag.training.losses._counts import at_least_single, counts, log, positive_number

Variant = Literal["released", "wang2019"]


@dataclass(frozen=True, kw_only=True)
class MultiSimilarity:
    """The loss; a run's report names its `variant`.

    Attributes:
        variant: `released`: a pair that is not kept counts as similarity 0, and one sum runs over
            the whole batch inside each logarithm. `wang2019`: such a pair is left out, and each
            anchor has logarithms of its own.
        threshold: The similarity about which pairs are pulled and pushed, λ.
        margin: ε. All four defaults are the paper's (PAPER.md §1).
        scale_pos: α.
        scale_neg: β.
    """

    variant: Variant = "released"
    threshold: float = 0.5
    margin: float = 0.1
    scale_pos: float = 2.0
    scale_neg: float = 50.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.variant not in get_args(Variant):
            known = ", ".join(get_args(Variant))
            raise TrainingError(f"no variant is called {self.variant!r}: there are {known}")
        positive_number("scale_pos", self.scale_pos)
        positive_number("scale_neg", self.scale_neg)

    def __call__(
        self,
        similarities: Tensor,
        positives: Tensor,
        *,
        masked: Tensor | None = None,
        hard: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch; arguments as in `Loss`.

        An anchor without negatives has no hard pairs: `wang2019` gives it 0; in `released` its
        positives count as similarity 0. Neither has a gradient there.

        Raises:
            TrainingError: The shapes do not fit each other.
        """
        s = at_least_single(similarities)
        own, others = counts(s, positives, masked, hard)
        keep_pos, keep_neg = self._hard_pairs(s.detach(), own, others)
        pulled = self._logs(s, own, keep_pos, -self.scale_pos)
        pushed = self._logs(s, others, keep_neg, self.scale_neg)
        return (pulled + pushed) / len(s)

    def _hard_pairs(self, s: Tensor, own: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Which columns are kept, as positives and as negatives, each (B, U)."""
        hardest = s.masked_fill(others == 0, -torch.inf).amax(1, keepdim=True)
        easiest = s.masked_fill(own == 0, torch.inf).amin(1, keepdim=True)
        return s - self.margin < hardest, s + self.margin > easiest

    def _logs(self, s: Tensor, times: Tensor, keep: Tensor, scale: float) -> Tensor:
        """1/|scale| · log(1 + Σ times · exp(scale · (s - threshold))), over all or by anchor."""
        if self.variant == "released":
            s = s * keep
        else:
            times = times * keep
        exponents = (s - self.threshold) * scale + log(times)
        exponents = exponents.flatten() if self.variant == "released" else exponents
        one = torch.zeros_like(exponents[..., :1])  # the 1 in log(1 + …), as exp(0)
        logs = torch.cat([exponents, one], -1).logsumexp(-1)
        return logs.sum() / abs(scale)


build = MultiSimilarity

multi_similarity = build
"""The name to call it by in code: `multi_similarity(variant="wang2019")`."""
