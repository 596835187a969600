"""One vector a token, of a sentence-transformers model: what late interaction compares."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from drehr_rag.types import Vectors


def token_vectors(
    model: Any, texts: Sequence[str], *, prompt: str, batch_size: int
) -> list[Vectors]:
    """Shape (tokens, dimension) for each text, float32, each row of length 1.

    Special tokens and the prompt are counted, padding is not; computed by torch in the model's own
    precision. A module after the pooling, such as a dense layer, does not see tokens.
    """
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    out: list[Any] = [None] * len(texts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        made = model.encode(
            [texts[i] for i in rows],
            prompt=prompt,
            batch_size=batch_size,
            output_value="token_embeddings",
            show_progress_bar=False,
        )
        for row, tokens in zip(rows, made, strict=True):
            out[row] = _unit(tokens.float().cpu().numpy())
    return out


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
