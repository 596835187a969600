"""InfoNCE with a temperature: each positive against all negatives of its anchor, for comparison.

Van den Oord et al. 2018, with several positives: the mean over all of them of
-log(e^(s/t) / (e^(s/t) + Σ e^(negative/t))). The other positives of an anchor stand on neither
side of the fraction. Symmetric, as CLIP's (Radford et al. 2021), each positive pair also stands
against the chunks that do not have the entity: a search ranks chunks. Import needs torch.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from drehr_rag.training.losses._counts import at_least_single, counts, log, positive_number


@dataclass(frozen=True, kw_only=True)
class InfoNCE:
    """The loss.

    Attributes:
        temperature: What similarities are divided by; 0.05 is a scale of 20, the default of
            sentence-transformers' in-batch negatives loss.
        symmetric: The mean of both directions: chunk to entities, entity to chunks.
    """

    temperature: float = 0.05
    symmetric: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        positive_number("temperature", self.temperature)

    def __call__(
        self,
        similarities: Tensor,
        positives: Tensor,
        *,
        masked: Tensor | None = None,
        hard: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch; arguments as in `Loss`. What has no negatives adds 0.

        Raises:
            TrainingError: The shapes do not fit each other.
        """
        s = at_least_single(similarities) / self.temperature
        own, others = counts(s, positives, masked, hard)
        below = (s + log(others)).logsumexp(1, keepdim=True)
        value = -(own * logsigmoid(s - below)).sum() / positives.numel()
        if not self.symmetric:
            return value
        without = own == 0 if masked is None else (own == 0) & ~masked
        below = (s + log(without.to(s.dtype))).logsumexp(0, keepdim=True)
        return (value - (own * logsigmoid(s - below)).sum() / positives.numel()) / 2


build = InfoNCE
"""By name; see `load_loss`."""
