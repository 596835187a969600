"""A sentence-transformers model in training: MiniLM, BERT, BGE. Import needs torch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drehr_rag.encoders._complete import missing_parameters
from drehr_rag.encoders._sentence_encoder import SentenceEncoder
from drehr_rag.protocols import Encoder
from drehr_rag.training._layers import (
    checkpoint,
    freeze,
    scale_adapters,
    set_dropout,
    with_adapters,
)
from drehr_rag.training.model import Embed, TrainableEncoder
from drehr_rag.training.settings import Settings
from drehr_rag.training.tokens import Features

BATCH = 64
"""Texts that an evaluation encodes at a time."""


class SentenceTrainable(TrainableEncoder):
    """All of its weights, or adapters, with the encoder's own pooling and prompts.

    Args:
        encoder: As `load_encoder` gives it, in float32.
        settings: Lengths, adapters, frozen layers.

    Raises:
        TrainingError: It lacks the layers that settings name.
    """

    def __init__(self, encoder: SentenceEncoder, settings: Settings) -> None:
        """Prepare what is trained."""
        super().__init__()
        self.base = encoder.name
        self.network = encoder._model
        self._fingerprint = encoder.fingerprint
        self.weights = encoder.fingerprint.weights
        self._adapters = settings.lora is not None
        self._initial: list[Any] = []  # in a list, so that it is no part of this module
        prompt = max(encoder.count_tokens([encoder.fingerprint.query_prompt]))
        self._lengths = {False: settings.passage_tokens, True: settings.entity_tokens + prompt}
        self.network.requires_grad_(True)
        for name, parameter in self.network.named_parameters():
            if "pooler" in name.split("."):  # BERT's own, which sentence-transformers does not use
                parameter.requires_grad_(False)
        if not self._adapters and (settings.keep or settings.blend < 1):
            self._initial = [deepcopy(self.network).eval().requires_grad_(False)]
        if settings.dropout is not None:
            set_dropout(self.network, settings.dropout)
        if settings.freeze is not None:
            freeze(self.network[0].model, settings.freeze)
        if settings.checkpointing:
            checkpoint(self.network[0].model)
        if settings.lora:
            self.network.requires_grad_(False)  # dense layers behind the pooling too
            self.network[0].model = with_adapters(self.network[0].model, settings.lora)

    def features(self, texts: Sequence[str], *, query: bool) -> Features:
        """Tokens as the encoder makes them, cut shorter."""
        prompt = self._fingerprint.query_prompt if query else self._fingerprint.passage_prompt
        limit = {"text": {"max_length": self._lengths[query], "truncation": True}}
        found: Features = self.network.preprocess(
            list(texts), prompt=prompt or None, processing_kwargs=limit
        )
        return found

    def forward(self, features: Features) -> Tensor:
        """Pooled, as the encoder does it."""
        made: Tensor = self.network(dict(features))["sentence_embedding"]
        return made

    @contextmanager
    def initial(self) -> Iterator[Embed]:
        """By the copy that was kept, or without the adapters."""
        training = self.training
        network = self._initial[0] if self._initial else self.network
        if not self._initial:
            self.network.eval()
            with self.network[0].model.disable_adapter(), torch.no_grad():
                yield self.forward
            self.train(training)
            return
        network.to(next(self.network.parameters()).device)
        with torch.no_grad():
            yield lambda features: network(dict(features))["sentence_embedding"]

    def blend(self, share: float) -> None:
        """By the copy that was kept, or by the adapters' scale."""
        if self._adapters:
            scale_adapters(self.network, share)
            return
        with torch.no_grad():
            before = dict(self._initial[0].named_parameters())
            for name, parameter in self.network.named_parameters():
                parameter.lerp_(before[name].to(parameter.device), 1 - share)

    def merge(self) -> None:
        """Into the transformer."""
        if self._adapters:
            self.network[0].model = self.network[0].model.merge_and_unload()
            self._adapters = False

    def encoder(self) -> Encoder:
        """The same network: it must not be trained while it encodes."""
        now = replace(self._fingerprint, weights="in training")
        return SentenceEncoder("in-training", self.network, now, batch_size=BATCH)

    def save(self, folder: Path) -> None:
        """As a sentence-transformers folder with the encoder's prompts."""
        self.merge()
        known = self._fingerprint
        self.network.prompts = {"query": known.query_prompt, "document": known.passage_prompt}
        self.network.default_prompt_name = None
        self.network.max_seq_length = known.max_tokens
        with missing_parameters(folder):  # for its silence
            self.network.save_pretrained(str(folder), create_model_card=False)
