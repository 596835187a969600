"""How far the training in a folder is: not begun, begun, at its end."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drehr_rag.errors import TrainingError
from drehr_rag.training import manifest as m
from drehr_rag.training.build_files import read_json
from drehr_rag.training.stopping import patience_is_over

CHECKPOINTS = "checkpoints"

COMPLETE = "complete"
"""File in a checkpoint that was written to its end."""

STATE = "trainer_state.json"
"""Where transformers keeps the steps and numbers of a checkpoint."""


def check_folder(folder: Path) -> None:
    """Let a new or empty folder pass, and one that holds a training.

    Raises:
        TrainingError: It holds something else.
    """
    if not folder.exists() or (folder / m.FILE).is_file():
        return
    if not folder.is_dir() or any(one.name != f"{m.FILE}.part" for one in folder.iterdir()):
        raise TrainingError(f"{folder} is not empty and holds no training: name a new folder")


def last_checkpoint(folder: Path) -> str | None:
    """The newest that is whole; halves are removed, so only one process may call this."""
    whole = []
    for place in (folder / CHECKPOINTS).glob("checkpoint-*"):
        if (place / COMPLETE).exists():
            whole.append(place)
        else:
            shutil.rmtree(place)
    newest = max(whole, key=lambda place: step_of(str(place)) or 0, default=None)
    return str(newest) if newest else None


def at_its_end(checkpoint: str, *, metric: str | None, patience: int | None) -> bool:
    """Whether nothing is left to learn: the last step was taken, or patience was over.

    A kill between the last checkpoint and what is saved leaves such a one.

    Raises:
        TrainingError: It is damaged.
    """
    state = read_json(Path(checkpoint) / STATE)
    history: Sequence[Mapping[str, Any]] = state.get("log_history", ())
    last = state.get("global_step", 0) >= state.get("max_steps", 0)
    return last or patience_is_over(history, metric, patience)


def step_of(checkpoint: str | None) -> int | None:
    """The number in a checkpoint's name."""
    return int(checkpoint.rpartition("-")[2]) if checkpoint else None
