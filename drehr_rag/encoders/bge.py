"""BGE v1.5 for English: BERT, `[CLS]`, an instruction before queries only, 512 tokens."""

from pathlib import Path
from typing import Any

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.encoders._weights import model_folder

HUB = "BAAI/bge-base-en-v1.5"
"""768-d, the backbone of DR.EHR-small (PAPER.md §1); `bge-small-en-v1.5` has 384, `large` 1024."""

INSTRUCTION = "Represent this sentence for searching relevant passages: "
"""Before queries; the authors advise it for short queries and long passages, and say that v1.5
loses little without it (FlagEmbedding, `baai_general_embedding/README.md`). Other languages have
another."""

MAX_TOKENS = 512
"""Position embeddings of BERT; special tokens and instruction counted."""


def load(
    model: str | None = None, *, revision: str | None = None, **options: Any
) -> SentenceEncoder:
    """Load one of `BAAI/bge-{small,base,large}-en-v1.5`.

    Args:
        model: A folder with its files, or a hub id; the base model by default. Pooling is `[CLS]`
            whatever the folder says: with the mean "there will be a significant decrease in
            performance" (same README).
        revision: Branch, tag or commit on the hub.
        options: `device`, `precision`, `overflow`, `batch_size`.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
        EncoderError: The folder is no such model, or only a part of it.
    """
    require("sentence_transformers", extra="local")
    folder = model_folder(model or HUB, revision=revision)
    return sentence_encoder(
        f"bge:{model}" if model else "bge",
        folder,
        model=Path(model or HUB).name,
        cls=True,
        max_tokens=MAX_TOKENS,
        query_prompt=INSTRUCTION,
        passage_prompt="",
        revision=revision,
        **options,
    )
