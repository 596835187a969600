"""The packaged model, loaded once in a process, and asked once for each passage.

Some thirty tests index the ward with it, which takes a core 8 s each time, and more to load it.
None of them is about the encoder (tests/unit/encoders is, and has nothing of this): they get the
vectors that it gave before to the same passage, under the same options.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from drehr_rag.encoders import offline
from drehr_rag.encoders._sentence_encoder import SentenceEncoder
from drehr_rag.types import Vectors

_load = offline.load
_loaded: dict[tuple[object, ...], SentenceEncoder] = {}


def load_once(model: str | None = None, **options: Any) -> SentenceEncoder:
    """As `offline.load`, which is called once for each way to call it."""
    key = (model, *sorted((name, repr(value)) for name, value in options.items()))
    if key not in _loaded:
        _loaded[key] = _keeping(_load(model, **options))
    return _loaded[key]


def _keeping(encoder: SentenceEncoder) -> SentenceEncoder:
    compute = encoder._vectors
    kept: dict[str, Vectors] = {}

    def vectors(texts: Sequence[str], *, query: bool) -> Vectors:
        if query:
            return compute(texts, query=True)
        new = [text for text in dict.fromkeys(texts) if text not in kept]
        if new:
            kept.update(zip(new, compute(new, query=False), strict=True))
        return np.stack([kept[text] for text in texts])

    encoder._vectors = vectors  # type: ignore[method-assign]
    return encoder
