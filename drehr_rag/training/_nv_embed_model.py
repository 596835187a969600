"""An NV-Embed in training: adapters on its decoder, everything else stays. Import needs torch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from drehr_rag.encoders import _nv_embed
from drehr_rag.encoders.dr_ehr_large import NvEmbedEncoder, padded
from drehr_rag.errors import TrainingError
from drehr_rag.protocols import Encoder
from drehr_rag.training._layers import checkpoint, scale_adapters, set_dropout, with_adapters
from drehr_rag.training.model import Embed, TrainableEncoder
from drehr_rag.training.settings import Settings
from drehr_rag.training.tokens import Features


class NvEmbedTrainable(TrainableEncoder):
    """DR.EHR-large or its backbone.

    Args:
        encoder: As `load_encoder` gives it.
        settings: Lengths and adapters.

    Raises:
        TrainingError: There are no adapters in the settings, or frozen layers.
    """

    def __init__(self, encoder: NvEmbedEncoder, settings: Settings) -> None:
        """Add the adapters."""
        super().__init__()
        if settings.lora is None or settings.freeze is not None:
            raise TrainingError(
                f"{encoder.name} is trained by adapters, all else frozen: give lora and no freeze, "
                "as the presets dr-ehr-large-stage1 and -stage2 do"
            )
        self.base = encoder.name
        self.network = encoder._model
        self._encoder = encoder
        if settings.dropout is not None:
            set_dropout(self.network, settings.dropout)
        known = encoder.fingerprint
        self.weights = known.weights
        prompt = len(encoder.tokenizer.tokenize(known.query_prompt))
        self._by_role = {
            query: NvEmbedEncoder(
                encoder.name, self.network, encoder.tokenizer, replace(known, max_tokens=length)
            )
            for query, length in (
                (False, settings.passage_tokens),
                (True, settings.entity_tokens + prompt),
            )
        }
        if settings.checkpointing:
            checkpoint(self.network.embedding_model)
        decoder = with_adapters(self.network.embedding_model, settings.lora)
        self.network.embedding_model = decoder

    def features(self, texts: Sequence[str], *, query: bool) -> Features:
        """Tokens and which of them are pooled, as the encoder has them, cut shorter."""
        encoder = self._by_role[query]
        ids, there, pooled = padded([encoder.tokens(text, query=query) for text in texts])
        return {"input_ids": ids, "attention_mask": there, "pooled": pooled}

    def forward(self, features: Features) -> Tensor:
        """Of length 1."""
        made: Tensor = self.network(
            features["input_ids"], features["attention_mask"], features["pooled"]
        )
        return made

    @contextmanager
    def initial(self) -> Iterator[Embed]:
        """Without the adapters."""
        training = self.training
        self.eval()
        with self.network.embedding_model.disable_adapter(), torch.no_grad():
            yield self.forward
        self.train(training)

    def blend(self, share: float) -> None:
        """By the adapters' scale."""
        scale_adapters(self.network, share)

    def merge(self) -> None:
        """Into the decoder."""
        decoder = self.network.embedding_model
        if hasattr(decoder, "merge_and_unload"):
            self.network.embedding_model = decoder.merge_and_unload()

    def encoder(self) -> Encoder:
        """The same network: it must not be trained while it encodes."""
        self.eval()
        known = replace(self._encoder.fingerprint, weights="in training")
        return NvEmbedEncoder("in-training", self.network, self._encoder.tokenizer, known)

    def save(self, folder: Path) -> None:
        """In the published layout, which `load_encoder("dr-ehr-large:FOLDER")` reads."""
        self.merge()
        _nv_embed.save(self.network, folder)
        self._encoder.tokenizer.save_pretrained(str(folder))
