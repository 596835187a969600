"""A training from files to a folder: begun, resumed, evaluated, saved. Needs torch."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainingArguments, set_seed

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import best_device, best_dtype
from drehr_rag.errors import TrainingError
from drehr_rag.training import manifest as m
from drehr_rag.training._callbacks import COMPLETE, Progress
from drehr_rag.training.card import write_card
from drehr_rag.training.evaluating import Evaluator
from drehr_rag.training.example_file import ExampleFile
from drehr_rag.training.leakage import Guard
from drehr_rag.training.loading import trainable
from drehr_rag.training.mixture import Mixture, Source
from drehr_rag.training.model import TrainableEncoder
from drehr_rag.training.settings import Settings
from drehr_rag.training.trainer import ContrastiveTrainer, arguments, autocast

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Attributes:
        folder: Of the model.
        steps: That were taken, in all.
        loss: Of the last step.
        before: What the evaluator said of the initial model.
        after: And of what was saved.
        seconds: Of this call's steps.
    """

    folder: Path
    steps: int
    loss: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    seconds: float


def train(
    model: str,
    examples: Sequence[tuple[str | Path, float]],
    output: str | Path,
    settings: Settings,
    *,
    evaluator: Evaluator | None = None,
    evaluated_on: str | None = None,
    guard: Guard | None = None,
    allow_leakage: bool = False,
    resume: bool = False,
    device: str | None = None,
    tensorboard: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train a model and save it.

    Several processes (`torchrun`) train together; each calls this with the same arguments.

    Args:
        model: As for `load_encoder`.
        examples: Files and their weights; see `mixture`.
        output: New or empty folder. Checkpoints lie in it until the end.
        settings: For instance `preset("tiny")`.
        evaluator: Measures the model before, every `settings.every` steps, and at the end; the
            best checkpoint is what is saved.
        evaluated_on: What the evaluator measures, for the card.
        guard: Knows what is held out; examples that are much like it are refused.
        allow_leakage: Train on them all the same; the manifest says so.
        resume: Go on with what was begun in `output`, from its last checkpoint.
        device: `cpu` leaves accelerators alone; by default the best there is.
        tensorboard: Whether its files are written too, in `runs`.
        progress: Told how far it is.

    Raises:
        TrainingError: An example, a setting or the folder cannot be used; or what is resumed was
            begun with others.
        TrainingStopped: The loss is no finite number; the checkpoints stay.
        EncoderError: The model cannot be had.
        MissingExtra: The packages are not installed.
    """
    require("accelerate", extra="train")
    folder = Path(output)
    _check_folder(folder, resume=resume)
    if not examples:
        raise TrainingError("there are no examples: name at least one file")
    sources = [Source(ExampleFile(file), weight) for file, weight in examples]
    leakage = _leakage(sources, guard, allow_leakage) if guard else None
    place = device or best_device()
    cpu = place == "cpu"
    if settings.bf16 is None:
        settings = replace(settings, bf16=best_dtype("auto", place) == torch.bfloat16)
    set_seed(settings.seed)  # adapters begin with random numbers
    begun = trainable(model, settings)
    args = arguments(folder / CHECKPOINTS, settings, cpu=cpu, metric=None)
    files = [
        (Path(file), weight, len(source.examples))
        for (file, weight), source in zip(examples, sources, strict=True)
    ]
    about = m.manifest_of(model, files, settings, processes=args.world_size)
    about |= {"evaluated_on": evaluated_on, "leakage": leakage}
    if resume:
        held = m.read_manifest(folder)
        m.same_training(held, about, folder)
        about["before"] = held["before"]
    else:
        about["before"] = _measured(begun, evaluator, settings, args)
    if args.process_index == 0:
        folder.mkdir(parents=True, exist_ok=True)
        m.write_manifest(folder, about)
    metric = next(iter(about["before"]), None)
    args = arguments(folder / CHECKPOINTS, settings, cpu=cpu, metric=metric)
    mixture = Mixture(sources, settings, rank=args.process_index, world=args.world_size)
    trainer = ContrastiveTrainer(
        begun,
        mixture,
        settings,
        args,
        evaluator=evaluator,
        log=folder / m.LOG,
        progress=progress,
        tensorboard=folder / "runs" if tensorboard else None,
    )
    result = trainer.train(resume_from_checkpoint=_last_checkpoint(folder) if resume else None)
    return _finished(trainer, folder, about, seconds=result.metrics["train_runtime"])


def _leakage(sources: Sequence[Source], guard: Guard, allow: bool) -> dict[str, Any]:
    """What the manifest says of it, if there is none or it is allowed."""
    report = guard.refuse(chain.from_iterable(one.examples for one in sources), allow=allow)
    found = {"checked": report.checked, "found": dict(report.counts), "allowed": allow}
    return {**guard.settings(), **found}


def _finished(
    trainer: ContrastiveTrainer, folder: Path, about: dict[str, Any], *, seconds: float
) -> Trained:
    """Blend, measure, save; checkpoints go."""
    history, state = trainer.state.log_history, trainer.state
    settings: Settings = trainer.settings
    model: TrainableEncoder = trainer.model
    if settings.blend < 1:
        model.blend(settings.blend)
    after = _measured(model, trainer.evaluator, settings, trainer.args)
    losses = [row["loss"] for row in history if "loss" in row]
    kept = _step_of(state.best_model_checkpoint) or state.global_step
    about |= {"state": "finished", "steps": state.global_step, "saved_step": kept}
    about |= {"loss": losses[-1], "after": after}
    if trainer.is_world_process_zero():
        model.save(folder)
        write_card(folder, about)
        m.write_manifest(folder, about)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return Trained(folder, state.global_step, losses[-1], about["before"], after, seconds)


def _measured(
    model: TrainableEncoder,
    evaluator: Evaluator | None,
    settings: Settings,
    args: TrainingArguments,
) -> dict[str, float]:
    """By the first process; the others are told."""
    found: list[Any] = [{}]
    if evaluator and args.process_index == 0:
        model.to(args.device)
        with autocast(args.device, bool(settings.bf16)), torch.no_grad():
            found = [dict(evaluator(model.encoder()))]
    if args.world_size > 1:
        dist.broadcast_object_list(found)
    measured: dict[str, float] = found[0]
    return measured


def _check_folder(folder: Path, *, resume: bool) -> None:
    if resume:
        m.read_manifest(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(
            f"{folder} is not empty: name a new folder, or resume the training that is in it"
        )


def _last_checkpoint(folder: Path) -> str | None:
    """The newest that is whole; halves are removed."""
    whole = []
    for place in (folder / CHECKPOINTS).glob("checkpoint-*"):
        if (place / COMPLETE).exists():
            whole.append(place)
        else:
            shutil.rmtree(place)
    newest = max(whole, key=lambda place: _step_of(str(place)) or 0, default=None)
    return str(newest) if newest else None


def _step_of(checkpoint: str | None) -> int | None:
    return int(checkpoint.rpartition("-")[2]) if checkpoint else None
