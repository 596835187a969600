"""From the first step that is left to a saved model with its card. Needs torch."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState, TrainingArguments

from drehr_rag.training import manifest as m
from drehr_rag.training.card import write_card
from drehr_rag.training.evaluating import Evaluator
from drehr_rag.training.first_process import in_first
from drehr_rag.training.model import TrainableEncoder
from drehr_rag.training.resuming import CHECKPOINTS, STATE, at_its_end, last_checkpoint, step_of
from drehr_rag.training.settings import Settings
from drehr_rag.training.trainer import ContrastiveTrainer, autocast


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Attributes:
        folder: Of the model.
        steps: That were taken, in all.
        loss: Of the last step.
        before: What the evaluator said of the initial model.
        after: And of what was saved.
        taken: Of those, in this call; none if the training was finished before.
        seconds: That they took.
    """

    folder: Path
    steps: int
    loss: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    taken: int
    seconds: float


def made(folder: Path, held: Mapping[str, Any]) -> Trained:
    """What a training that is finished made; checkpoints that a kill left go."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return Trained(
        folder, held["steps"], held["loss"], held["before"], held["after"], taken=0, seconds=0.0
    )


def learn(trainer: ContrastiveTrainer, folder: Path) -> tuple[int, float]:
    """All steps that are left; how many, and their seconds."""
    args: TrainingArguments = trainer.args
    checkpoint = in_first(args, lambda: last_checkpoint(folder))
    metric, patience = args.metric_for_best_model, trainer.settings.patience
    if checkpoint and at_its_end(checkpoint, metric=metric, patience=patience):
        trainer.state = TrainerState.load_from_json(str(Path(checkpoint) / STATE))
        trainer.load_weights(Path(trainer.state.best_model_checkpoint or checkpoint))
        return 0, 0.0
    result = trainer.train(resume_from_checkpoint=checkpoint)
    return trainer.state.global_step - (step_of(checkpoint) or 0), result.metrics["train_runtime"]


def finished(
    trainer: ContrastiveTrainer, folder: Path, about: dict[str, Any], taken: int, seconds: float
) -> Trained:
    """Blend, merge, measure what came of it, save; checkpoints go."""
    history, state = trainer.state.log_history, trainer.state
    settings: Settings = trainer.settings
    model: TrainableEncoder = trainer.model
    if settings.blend < 1:
        model.blend(settings.blend)
    model.merge()
    after = measured(model, trainer.evaluator, settings, trainer.args)
    losses = [row["loss"] for row in history if "loss" in row]
    kept = step_of(state.best_model_checkpoint) or state.global_step
    about |= {"state": "finished", "steps": state.global_step, "saved_step": kept}
    about |= {"loss": losses[-1], "after": after}
    if trainer.is_world_process_zero():
        model.save(folder)
        write_card(folder, about)
        m.write_manifest(folder, about)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return Trained(folder, state.global_step, losses[-1], about["before"], after, taken, seconds)


def measured(
    model: TrainableEncoder,
    evaluator: Evaluator | None,
    settings: Settings,
    args: TrainingArguments,
) -> dict[str, float]:
    """By the first process; the others are told."""

    def numbers() -> dict[str, float]:
        if evaluator is None:
            return {}
        model.to(args.device)
        with autocast(args.device, bool(settings.bf16)), torch.no_grad():
            return dict(evaluator(model.encoder()))

    return in_first(args, numbers)
