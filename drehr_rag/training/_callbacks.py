"""What is told while a training runs: a log that outlives a kill, progress, when to stop."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers import TrainerCallback

from drehr_rag._files import written
from drehr_rag.errors import TrainingError
from drehr_rag.training.resuming import COMPLETE
from drehr_rag.training.stopping import patience_is_over, stop_unless_finite

Progress = Callable[[int, int, dict[str, float]], None]
"""Told how many steps are done, of how many, and the latest numbers."""


class Told(TrainerCallback):  # type: ignore[misc]
    """Writes every number to `log.jsonl` as it comes, and tells whoever shows the progress.

    Args:
        file: Lines after the step that the training goes on from are dropped.
        progress: None tells nobody.
    """

    def __init__(self, file: Path, progress: Progress | None) -> None:
        """Nothing is written yet."""
        self._file, self._progress = file, progress
        self._latest: dict[str, float] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drop what a killed run wrote after its last checkpoint."""
        if not state.is_world_process_zero:
            return
        lines = self._file.read_text("utf-8").splitlines() if self._file.exists() else []
        kept = [line for line in lines if _step(line) <= state.global_step]
        if state.global_step == 0:
            kept = []
        with written(self._file, error=TrainingError) as stream:
            stream.writelines(f"{line}\n" for line in kept)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Append a line."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row = {"step": state.global_step, **{name: _number(value) for name, value in logs.items()}}
        row.pop("epoch", None)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        self._latest.update(row)
        if self._progress:
            self._progress(state.global_step, state.max_steps, dict(self._latest))


class Saving(TrainerCallback):  # type: ignore[misc]
    """Saves between evaluations too, which may be half an hour apart.

    Args:
        every: Steps.
    """

    def __init__(self, every: int) -> None:
        """Nothing is saved here."""
        self._every = every

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Transformers itself saves only where it evaluates, if it is to find the best."""
        if state.global_step % self._every == 0:
            control.should_save = True


class Complete(TrainerCallback):  # type: ignore[misc]
    """Marks checkpoints that are whole: a kill may leave half of one."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Put a mark into the one that was just written, by all processes."""
        if dist.is_available() and dist.is_initialized():
            dist.barrier()  # each writes the state of its own random numbers
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / COMPLETE).touch()


class Stopping(TrainerCallback):  # type: ignore[misc]
    """Evaluates after the last step too; stops when nothing got better, or gradients are NaN.

    Args:
        metric: `eval_…`, higher is better.
        patience: Evaluations without a new best; None never stops.
        ids: Of the current batch.
    """

    def __init__(
        self, metric: str | None, patience: int | None, ids: Callable[[], tuple[str, ...]]
    ) -> None:
        """Nothing is counted here: the trainer's own history is."""
        self._metric, self._patience, self._ids = metric, patience, ids

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The last step is evaluated whatever its number."""
        if self._metric and state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """After clipping: one NaN makes all NaN, one infinity only itself, and the others 0.

        Raises:
            TrainingStopped: One was; the weights are as before.
        """
        found = [p.grad.float().sum() for p in given["model"].parameters() if p.grad is not None]
        stop_unless_finite(float(sum(found)), self._ids())

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop where the best is too long ago."""
        if patience_is_over(state.log_history, self._metric, self._patience):
            control.should_training_stop = True


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError):  # cut off by a kill
        return 1 << 62
