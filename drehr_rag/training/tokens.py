"""Texts as tokens, in chunks of about equal length. Import needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Features = Mapping[str, Any]
"""What goes into a model: tensors of shape (texts, tokens), and what is the same for all texts."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Texts cut into chunks, longest first, so that little of a chunk is padding.

    Attributes:
        chunks: Features of the texts, in the order of their length.
        back: Where each text's row is in that order, (texts,).
    """

    chunks: tuple[Features, ...]
    back: Tensor


def in_chunks(features: Features, size: int) -> Tokens:
    """Features of many texts, padded to the longest, as chunks padded to their own longest.

    Args:
        features: With an `attention_mask`; padded at either side.
        size: Texts in a chunk.
    """
    mask = features["attention_mask"]
    lengths = mask.sum(1)
    order = torch.argsort(lengths, descending=True, stable=True)
    left = bool((mask[:, 0] == 0).any())
    chunks = []
    for rows in order.split(size):
        width = int(lengths[rows[0]])
        cut = slice(-width, None) if left else slice(0, width)
        chunks.append({name: _rows(value, mask, rows, cut) for name, value in features.items()})
    return Tokens(tuple(chunks), torch.argsort(order))


def on_device(features: Features, device: torch.device) -> dict[str, Any]:
    """The same with all tensors there."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in features.items()
    }


def _rows(value: Any, mask: Tensor, rows: Tensor, cut: slice) -> Any:
    if not isinstance(value, Tensor) or value.shape[:2] != mask.shape:
        return value
    return value[rows][:, cut]
