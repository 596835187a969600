"""Any sentence-transformers model, from a folder or the hub, with its own pooling and prompts."""

from typing import Any

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.encoders._weights import model_folder
from drehr_rag.errors import EncoderError, UnknownName


def load(
    model: str | None = None, *, revision: str | None = None, **options: Any
) -> SentenceEncoder:
    """Load a model.

    Args:
        model: Folder or hub id.
        revision: Branch, tag or commit on the hub.
        options: Those of `sentence_encoder`.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
        EncoderError: The folder does not say how to pool (no `modules.json`).
    """
    if not model:
        raise UnknownName("give the folder or hub id of a model: sentence-transformer:MODEL")
    require("sentence_transformers", extra="local")
    folder = model_folder(model, revision=revision)
    if not (folder / "modules.json").exists():
        raise EncoderError(
            f"{model} has no modules.json, so it does not say how to pool, and a guess would be "
            f"mean pooling: if it is DR.EHR-small, load it as dr-ehr-small:{model}"
        )
    return sentence_encoder(model, folder, model=folder.name, revision=revision, **options)
