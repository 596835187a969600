"""Trainings by name: the paper's table, and one for an hour on two cores.

PAPER.md §1, "Training, both stages": AdamW, 1e-4, warm-up 0.1, passages of 160 tokens, entities of
16; Multi-Similarity loss as released. The released code lets an entity that two chunks share push
against one of them; these presets do not (`mask=False` does).
"""

from dataclasses import replace

from drehr_rag.errors import UnknownName
from drehr_rag.training.settings import Lora, Settings

_PAPER = Settings(loss="multi-similarity", loss_options={"variant": "released"})

_LARGE = replace(_PAPER, batch=16, bf16=True, checkpointing=True, gather=True, lora=Lora(), chunk=8)
"""LoRA and bf16 are the paper's; so are 16 chunks on each of 8 GPUs, gathered. DeepSpeed ZeRO-2
spreads an optimiser's state over GPUs, and that of adapters is small: it is not needed."""

PRESETS = {
    "dr-ehr-small-stage1": replace(_PAPER, positives=128, batch=32, epochs=3, chunk=256),
    "dr-ehr-small-stage2": replace(_PAPER, positives=16, batch=32, epochs=1),
    "dr-ehr-large-stage1": replace(_LARGE, positives=32, epochs=1),
    "dr-ehr-large-stage2": replace(_LARGE, positives=16, epochs=1),
    "tiny": replace(
        _PAPER,
        loss="infonce",
        loss_options={"temperature": 0.05},
        lr=5e-5,
        positives=16,
        batch=32,
        steps=800,
        bf16=None,
    ),
}
"""Positives of a chunk, chunks of a batch and epochs are the table's for each model and stage.
`tiny` is for all-MiniLM-L6-v2 on 2 cores, not from the paper."""

MODELS = {
    "dr-ehr-small-stage1": "dr-ehr-small:BAAI/bge-base-en-v1.5",
    "dr-ehr-large-stage1": "dr-ehr-large:nvidia/NV-Embed-v2",
    "tiny": "offline",
}
"""What a preset starts from (PAPER.md §1); stage 2 starts from stage 1's result."""


def preset(name: str) -> Settings:
    """The settings of this name.

    Raises:
        UnknownName: There are none.
    """
    if name not in PRESETS:
        raise UnknownName(f"no preset is called {name!r}: there are {', '.join(PRESETS)}")
    return PRESETS[name]
