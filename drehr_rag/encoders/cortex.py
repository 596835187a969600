"""CoRTEx: a T5 for biomedical terms, an instruction before each, the mean over the term, 96 tokens.

It is an INSTRUCTOR model: its `modules.json` names classes of a package that today's libraries do
not run with, so the modules are put together here. The instruction is read but not pooled.
"""

import json
from pathlib import Path
from typing import Any

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.encoders._weights import model_folder
from drehr_rag.errors import EncoderError

HUB = "THUMedInfo/CoRTEx"

INSTRUCTION = "Represent the meaning of the biomedical term for retrieval: "
"""Before queries and passages alike (PAPER.md §3; the authors' script that clusters terms). The
model card has two others, for a term and for its definition; what was trained is unknown."""

MAX_TOKENS = 96
"""Special tokens and instruction counted (PAPER.md §3; the same script)."""


def load(
    model: str | None = None, *, revision: str | None = None, **options: Any
) -> SentenceEncoder:
    """Load CoRTEx.

    Args:
        model: A folder with its files, or another hub id; the authors' own by default.
        revision: Branch, tag or commit on the hub.
        options: `device`, `precision`, `overflow`, `batch_size`.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
        EncoderError: The folder is no such model, or only a part of it.
    """
    require("sentence_transformers", extra="local")
    folder = model_folder(model or HUB, revision=revision)
    return sentence_encoder(
        f"cortex:{model}" if model else "cortex",
        folder,
        model=Path(model or HUB).name,
        parts=_instructor,
        max_tokens=MAX_TOKENS,
        query_prompt=INSTRUCTION,
        passage_prompt=INSTRUCTION,
        revision=revision,
        **options,
    )


def _instructor(folder: Path, kwargs: dict[str, Any]) -> list[Any]:
    """What `modules.json` describes, in sentence-transformers' own classes.

    Its last module, which normalises, is left out: every encoder's vectors are.
    """
    modules = require("sentence_transformers.sentence_transformer.modules", extra="local")
    parts = [modules.Transformer(str(folder), model_kwargs=kwargs)]
    for place, kind in _described(folder):
        if "Pooling" in place:
            parts.append(modules.Pooling.load(str(folder), subfolder=place))
            parts[-1].include_prompt = False
        elif kind.endswith("Dense"):
            parts.append(modules.Dense.load(str(folder), subfolder=place))
        elif not kind.endswith("Normalize"):
            raise EncoderError(f"{folder}/modules.json names {kind}, which CoRTEx does not have")
    return parts


def _described(folder: Path) -> list[tuple[str, str]]:
    """Folder and class of every module after the first."""
    try:
        entries = json.loads((folder / "modules.json").read_text("utf-8"))
        found = [(str(entry["path"]), str(entry["type"])) for entry in entries[1:]]
    except (OSError, ValueError, TypeError, KeyError):
        found = []
    if not any("Pooling" in place for place, _ in found):
        raise EncoderError(f"{folder} has no modules.json that says how CoRTEx pools")
    return found
