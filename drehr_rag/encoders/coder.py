"""CODER: a BERT for medical terms, 768-d, 32 tokens; for terms, not for passages.

Its paper says `[CLS]`. Its code (github.com/GanjinZero/CODER, training and every test) takes
BERT's pooler over it, and pads each term to 32 tokens without an attention mask, so that the
padding is read too. `compat="released"` does as the code, which is what was trained;
`"strict"` is the hidden state of `[CLS]` with the padding masked. Neither is what trained
`coder_eng_pp`: the pooler with a mask.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.encoders._weights import model_folder
from drehr_rag.errors import UnknownName

HUB = "GanjinZero/coder_eng"

MAX_TOKENS = 32
"""`max_length` in the authors' training (`pretrain/data_util.py`) and tests."""

Compat = Literal["released", "strict"]


def load(
    model: str | None = None,
    *,
    compat: Compat = "released",
    revision: str | None = None,
    **options: Any,
) -> SentenceEncoder:
    """Load CODER.

    Args:
        model: A folder with its files, or a hub id (`GanjinZero/coder_all` is multilingual); the
            English model by default. How the folder says to pool does not count.
        compat: As the authors' code computes, or as their paper's `[CLS]` is usually read.
        revision: Branch, tag or commit on the hub.
        options: `device`, `precision`, `overflow`, `batch_size`.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
        EncoderError: The folder is no such model, or only a part of it.
    """
    require("sentence_transformers", extra="local")
    if compat not in get_args(Compat):
        raise UnknownName(f"compat is released or strict, not {compat!r}")
    folder = model_folder(model or HUB, revision=revision)
    released = compat == "released"
    encoder = sentence_encoder(
        f"coder:{model}" if model else "coder",
        folder,
        model=Path(model or HUB).name,
        cls=not released,
        parts=_released if released else None,
        max_tokens=MAX_TOKENS,
        query_prompt="",
        passage_prompt="",
        revision=revision,
        **options,
    )
    pooling = "pooler" if released else "cls"
    encoder.fingerprint = replace(encoder.fingerprint, pooling=pooling, compat=compat)
    return encoder


def _released(folder: Path, kwargs: dict[str, Any]) -> list[Any]:
    modules = require("sentence_transformers.sentence_transformer.modules", extra="local")
    output = {"method": "forward", "method_output_name": "pooler_output"}
    body = modules.Transformer(
        str(folder),
        model_kwargs=kwargs,
        modality_config={"text": output},
        module_output_name="sentence_embedding",
        processing_kwargs={"text": {"padding": "max_length", "return_attention_mask": False}},
    )
    return [body]
