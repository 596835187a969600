"""A model in training: texts to embeddings with a graph, and back into a folder. Needs torch."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from torch import Tensor, nn

from drehr_rag.protocols import Encoder
from drehr_rag.training.tokens import Features

Embed = Callable[[Features], Tensor]


class TrainableEncoder(nn.Module):  # type: ignore[misc]
    """What the trainer needs of a model; `loading.trainable` makes one.

    Attributes:
        base: The name of the encoder that it began as.
        weights: The checksum of the files that it was read from.
    """

    base: str
    weights: str

    @abstractmethod
    def features(self, texts: Sequence[str], *, query: bool) -> Features:
        """Tokens of entities (queries) or of chunks, with their prompt, cut at their length."""

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Embeddings of any length, (texts, d)."""

    @abstractmethod
    def initial(self) -> AbstractContextManager[Embed]:
        """What embeds as the model did before the training, without dropout or a graph."""

    @abstractmethod
    def blend(self, share: float) -> None:
        """Make the weights (1 - share) · initial + share · trained; for good."""

    @abstractmethod
    def merge(self) -> None:
        """Put adapters into the weights, as they are saved; for good."""

    @abstractmethod
    def encoder(self) -> Encoder:
        """The model as it is now, for an evaluation."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write a folder that `load_encoder` reads; adapters are merged first."""
