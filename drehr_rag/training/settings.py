"""What a training is told: sizes, rates, loss, and what holds the model near where it began."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from drehr_rag.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters in place of all weights; merged when the model is saved.

    The defaults are DR.EHR-large's (PAPER.md §1).

    Attributes:
        rank: r.
        alpha: The scale is alpha / rank.
        dropout: Before the adapters.
        layers: Names of the linear layers that get one.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.1
    layers: tuple[str, ...] = ("q_proj", "v_proj")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides what is learnt, except model and examples; see `presets`.

    Attributes:
        positives: Entities of each chunk in a batch, n.
        batch: Chunks of a batch, in each process.
        epochs: Visits of each example, before the weights of a mixture.
        steps: In place of `epochs`.
        lr: Highest learning rate of AdamW.
        warmup: Share of the steps in which it rises from 0; then it falls to 0, linearly.
        clip: Longest gradient; longer ones are shortened.
        weight_decay: Of AdamW.
        passage_tokens: Chunks are cut there, special tokens counted.
        entity_tokens: Entities likewise, their prompt not counted.
        loss: As for `load_loss`.
        loss_options: The loss's own.
        mask: Whether false negatives are left out, see `masking`.
        gather: Whether other processes' entities are negatives too.
        grouped: Whether a batch's chunks all come from one file of the mixture.
        bf16: Compute in bfloat16, keep weights in float32 (those beside adapters in bfloat16).
            None: where the device is fast at it; what it came to stands in the manifest.
        checkpointing: Compute layers again on the way back, instead of keeping them.
        chunk: Texts that are encoded at a time with GradCache: memory grows with it and not with
            the batch. None: everything is kept for the way back, one forward pass fewer.
        lora: Adapters; None trains all weights.
        dropout: Share of activations that each layer drops while it learns; None leaves the
            model's own, .1 for BERT. Without, a step takes a fifth less time here.
        freeze: The embeddings and so many of the lowest layers stay as they are; None freezes
            nothing. Cheaper, and forgets less.
        keep: Weight of a term that holds embeddings where the initial model has them: the mean of
            1 - cosine over the batch's texts. 0 leaves it out; it costs a forward pass more.
        blend: Share of the trained weights in what is saved, the rest is the initial model's
            (Wortsman et al. 2022, WiSE-FT: 0.5 keeps most of both). 1 saves what was trained.
        seed: Of order, sampling and dropout.
        every: Steps between evaluations, if there is one.
        patience: Evaluations without a new best before it stops; None goes on to the end.
        save_every: Steps between checkpoints, besides those of evaluations.
    """

    positives: int = 16
    batch: int = 32
    epochs: float = 1.0
    steps: int | None = None
    lr: float = 1e-4
    warmup: float = 0.1
    clip: float = 1.0
    weight_decay: float = 0.0
    passage_tokens: int = 160
    entity_tokens: int = 16
    loss: str = "multi-similarity"
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    mask: bool = True
    gather: bool = False
    grouped: bool = True
    bf16: bool | None = False
    checkpointing: bool = False
    chunk: int | None = None
    lora: Lora | None = None
    dropout: float | None = None
    freeze: int | None = None
    keep: float = 0.0
    blend: float = 1.0
    seed: int = 0
    every: int = 100
    patience: int | None = None
    save_every: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("positives", "batch", "passage_tokens", "entity_tokens", "every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("steps", "chunk", "patience", "save_every"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        _at_least("freeze", self.freeze or 0, 0)
        _between("epochs", self.epochs, 0, float("inf"), open_below=True)
        _between("lr", self.lr, 0, 1, open_below=True)
        _between("clip", self.clip, 0, float("inf"), open_below=True)
        _between("warmup", self.warmup, 0, 0.99)
        _between("keep", self.keep, 0, float("inf"))
        if self.dropout is not None:
            _between("dropout", self.dropout, 0, 0.99)
        _between("blend", self.blend, 0, 1, open_below=True)


def _at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TrainingError(f"{name} is {value!r}: it must be a whole number from {least} up")


def _between(name: str, value: float, low: float, high: float, *, open_below: bool = False) -> None:
    if not isfinite(value) or value < low or value > high or (open_below and value == low):
        above = "above" if open_below else "from"
        to = "" if high == float("inf") else f", at most {high:g}"
        raise TrainingError(f"{name} is {value}: it must be a number {above} {low:g}{to}")
