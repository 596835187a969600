"""DR.EHR-small: BERT, `[CLS]`, raw text both ways, 512 tokens, 768-d, cosine (PAPER.md §1)."""

from typing import Any

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.encoders._weights import model_folder

HUB = "THUMedInfo/DR.EHR-small"
MAX_TOKENS = 512
"""Position embeddings of BERT base; special tokens counted."""


def load(
    model: str | None = None, *, revision: str | None = None, **options: Any
) -> SentenceEncoder:
    """Load DR.EHR-small.

    Args:
        model: A folder with its files, or another hub id; the authors' own by default. Pooling
            is `[CLS]` and there are no prompts, whatever the folder says.
        revision: Branch, tag or commit on the hub.
        options: `device`, `backend`, `precision`.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
    """
    require("sentence_transformers", extra="local")
    folder = model_folder(model or HUB, revision=revision)
    return sentence_encoder(
        f"dr-ehr-small:{model}" if model else "dr-ehr-small",
        folder,
        model="dr-ehr-small",
        cls=True,
        max_tokens=MAX_TOKENS,
        query_prompt="",
        passage_prompt="",
        revision=revision,
        **options,
    )
