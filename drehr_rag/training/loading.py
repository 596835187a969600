"""A model by its name, ready to train."""

from drehr_rag._extras import require
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import TrainingError
from drehr_rag.training.model import TrainableEncoder
from drehr_rag.training.settings import Settings


def trainable(name: str, settings: Settings, *, device: str | None = None) -> TrainableEncoder:
    """A model to train.

    Args:
        name: As for `load_encoder`: `offline`, a folder or hub id of a sentence-transformers
            model, `dr-ehr-small:FOLDER` (`[CLS]` of any BERT), `dr-ehr-large:FOLDER` (NV-Embed).
        settings: Lengths, adapters, frozen layers, precision, checkpointing.
        device: Where it is read to; the trainer moves it to its own.

    Raises:
        TrainingError: It cannot be trained here, or lacks the layers that settings name.
        ModelUnavailable: It is not on this machine and cannot be fetched.
        MissingExtra: The packages are not installed.
    """
    large = require("drehr_rag.encoders.dr_ehr_large", extra="train")
    small = require("drehr_rag.encoders._sentence_encoder", extra="train")
    place = device or "cpu"
    if str(name).partition(":")[0].replace("_", "-") == "dr-ehr-large":
        kind = "bfloat16" if settings.bf16 else "float32"
        loaded = load_encoder(name, device=place, precision=kind, self_test=False)
    else:
        loaded = load_encoder(name, device=place, precision="float32")
    if isinstance(loaded, large.NvEmbedEncoder):
        from drehr_rag.training._nv_embed_model import NvEmbedTrainable

        return NvEmbedTrainable(loaded, settings)
    if isinstance(loaded, small.SentenceEncoder):
        from drehr_rag.training._sentence_model import SentenceTrainable

        return SentenceTrainable(loaded, settings)
    raise TrainingError(
        f"{name} cannot be trained here: name offline, or the folder or hub id of a "
        "sentence-transformers model, dr-ehr-small:FOLDER or dr-ehr-large:FOLDER"
    )
