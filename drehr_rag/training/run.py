"""A training from files to a folder: begun, resumed, evaluated, saved. Needs torch."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import best_device, best_dtype
from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training import manifest as m
from drehr_rag.training._callbacks import Progress
from drehr_rag.training.card import UNNAMED
from drehr_rag.training.evaluating import Evaluator
from drehr_rag.training.example_file import ExampleFile
from drehr_rag.training.finishing import Trained, finished, learn, made, measured
from drehr_rag.training.first_process import in_first
from drehr_rag.training.leakage import Guard
from drehr_rag.training.loading import trainable
from drehr_rag.training.mixture import Mixture, Source
from drehr_rag.training.resuming import CHECKPOINTS, check_folder
from drehr_rag.training.settings import Settings
from drehr_rag.training.trainer import ContrastiveTrainer, arguments


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
    device: str | None = None,
    tensorboard: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train a model and save it; go on with what was begun; tell what is finished.

    The same call again goes on from the last checkpoint after a kill, and does nothing when the
    model is there. Several processes (`torchrun`) train together; each calls this with the same
    arguments.

    Args:
        model: As for `load_encoder`.
        examples: Files and their weights; see `mixture`.
        output: New or empty folder, or that of this training. Checkpoints lie in it until the end.
        settings: For instance `preset("tiny")`.
        evaluator: Measures the model before, every `settings.every` steps, and at the end; the
            best checkpoint is what is saved.
        evaluated_on: What the evaluator measures, for the card.
        guard: Knows what is held out; examples that are much like it are refused. Only the first
            process needs it.
        allow_leakage: Train on them all the same; the manifest says so.
        device: `cpu` leaves accelerators alone; by default the best there is.
        tensorboard: Whether its files are written too, in `runs`.
        progress: Told how far it is.

    Raises:
        TrainingError: An example, a setting or the folder cannot be used; or the training in it is
            of others.
        BadArgument: There is no such device, or it is one of several GPUs.
        TrainingStopped: The loss is no finite number; the checkpoints stay.
        EncoderError: The model cannot be had.
        MissingExtra: The packages are not installed.
    """
    require("accelerate", extra="train")
    folder = Path(output)
    check_folder(folder)
    if not examples:
        raise TrainingError("there are no examples: name at least one file")
    place = _device(device)
    if settings.bf16 is None:
        settings = replace(settings, bf16=best_dtype("auto", place) == torch.bfloat16)
    sources = [Source(ExampleFile(file), weight) for file, weight in examples]
    set_seed(settings.seed)  # adapters begin with random numbers
    begun = trainable(model, settings)
    args = arguments(folder / CHECKPOINTS, settings, cpu=place == "cpu", metric=None)
    files = [
        (Path(file), weight, len(source.examples))
        for (file, weight), source in zip(examples, sources, strict=True)
    ]
    about = m.manifest_of(model, files, settings, processes=args.world_size)
    about["weights"] = begun.weights
    about["evaluated_on"] = (evaluated_on or UNNAMED) if evaluator else None
    about["guard"] = in_first(args, lambda: _guarding(guard, allow_leakage))
    held = in_first(args, lambda: m.read_manifest(folder) if (folder / m.FILE).exists() else None)
    if held is not None:
        m.same_training(held, about, folder)
        if held["state"] == "finished":
            return made(folder, held)
        about |= {name: held[name] for name in ("leakage", "before")}
    else:
        about["leakage"] = in_first(args, lambda: _leakage(sources, guard, allow_leakage))
        about["before"] = measured(begun, evaluator, settings, args)
    if args.process_index == 0:
        folder.mkdir(parents=True, exist_ok=True)
        m.write_manifest(folder, about)
    metric = next(iter(about["before"]), None)
    trainer = ContrastiveTrainer(
        begun,
        Mixture(sources, settings, rank=args.process_index, world=args.world_size),
        settings,
        arguments(folder / CHECKPOINTS, settings, cpu=place == "cpu", metric=metric),
        evaluator=evaluator,
        log=folder / m.LOG,
        progress=progress,
        tensorboard=folder / "runs" if tensorboard else None,
    )
    return finished(trainer, folder, about, *learn(trainer, folder))


def _device(name: str | None) -> str:
    """Where it is trained; which of several GPUs is not for us to say.

    Raises:
        BadArgument: It is not `cpu`, nor what there is here.
    """
    best = best_device()
    if name in (None, "cpu", best):
        return name or best
    raise BadArgument(
        f"a training runs on {' or '.join(dict.fromkeys((best, 'cpu')))} here, not {name!r}; "
        "CUDA_VISIBLE_DEVICES=1 before the command leaves it one GPU of several"
    )


def _guarding(guard: Guard | None, allow: bool) -> dict[str, Any] | None:
    """What is held out, for the manifest."""
    return {**guard.settings(), "allowed": allow} if guard else None


def _leakage(sources: Sequence[Source], guard: Guard | None, allow: bool) -> dict[str, Any] | None:
    """What the manifest says of it, if there is none or it is allowed."""
    if guard is None:
        return None
    report = guard.refuse(chain.from_iterable(one.examples for one in sources), allow=allow)
    found = {"checked": report.checked, "found": dict(report.counts), "allowed": allow}
    return {**guard.settings(), **found}
