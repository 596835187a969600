"""A model in training: texts to embeddings with a graph, and back into a folder. Needs torch."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from torch import Tensor, nn

from drehr_rag._extras import require
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import TrainingError
from drehr_rag.protocols import Encoder
from drehr_rag.training.settings import Settings
from drehr_rag.training.tokens import Features

Embed = Callable[[Features], Tensor]


class TrainableEncoder(nn.Module):  # type: ignore[misc]
    """What the trainer needs of a model; `trainable` makes one.

    Attributes:
        base: The name of the encoder that it began as.
    """

    base: str

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
    def encoder(self) -> Encoder:
        """The model as it is now, for an evaluation."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write a folder that `load_encoder` reads; adapters are merged into the weights first."""


def trainable(name: str, settings: Settings, *, device: str | None = None) -> TrainableEncoder:
    """A model to train.

    Args:
        name: As for `load_encoder`: `offline`, a folder or hub id of a sentence-transformers
            model, `dr-ehr-small:FOLDER` (`[CLS]` of any BERT), `dr-ehr-large:FOLDER` (NV-Embed).
        settings: Lengths, adapters, frozen layers, precision, checkpointing.
        device: Where it is read to; the trainer moves it to its own.

    Raises:
        TrainingError: It cannot be trained here, or lacks the layers that settings name.
        ModelUnavailable: It is not on this machine and cannot be fetched.
        MissingExtra: The packages are not installed.
    """
    large = require("drehr_rag.encoders.dr_ehr_large", extra="train")
    small = require("drehr_rag.encoders._sentence_encoder", extra="train")
    place = device or "cpu"
    if str(name).partition(":")[0].replace("_", "-") == "dr-ehr-large":
        kind = "bfloat16" if settings.bf16 else "float32"
        loaded = load_encoder(name, device=place, precision=kind, self_test=False)
    else:
        loaded = load_encoder(name, device=place, precision="float32")
    if isinstance(loaded, large.NvEmbedEncoder):
        from drehr_rag.training._nv_embed_model import NvEmbedTrainable

        return NvEmbedTrainable(loaded, settings)
    if isinstance(loaded, small.SentenceEncoder):
        from drehr_rag.training._sentence_model import SentenceTrainable

        return SentenceTrainable(loaded, settings)
    raise TrainingError(
        f"{name} cannot be trained here: name offline, or the folder or hub id of a "
        "sentence-transformers model, dr-ehr-small:FOLDER or dr-ehr-large:FOLDER"
    )
