"""transformers' Trainer with a contrastive step, its own batches and its own evaluation."""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.integrations import TensorBoardCallback

from drehr_rag._extras import require
from drehr_rag.training._callbacks import Complete, Progress, Saving, Stopping, Told
from drehr_rag.training.contrast import Contrast
from drehr_rag.training.evaluating import Evaluator
from drehr_rag.training.losses import load_loss
from drehr_rag.training.mixture import Mixture
from drehr_rag.training.model import TrainableEncoder
from drehr_rag.training.settings import Settings
from drehr_rag.training.step import BUCKET, Item, Step, item

CHECKPOINTS = 2
"""That are kept beside the best one: a kill may leave half of the newer."""

WEIGHTS = "model.safetensors"


class _Items(torch.utils.data.Dataset):  # type: ignore[misc]
    """Batches with their tokens."""

    def __init__(self, mixture: Mixture, model: TrainableEncoder, size: int) -> None:
        self._mixture, self._model, self._size = mixture, model, size

    def __len__(self) -> int:
        return len(self._mixture)

    def __getitem__(self, step: int) -> Item:
        return item(self._model, self._mixture[step], size=self._size)


class ContrastiveTrainer(Trainer):  # type: ignore[misc]
    """Trains a `TrainableEncoder` on a `Mixture`.

    Args:
        model: What is trained.
        mixture: This process's batches, all of them: one epoch in the Trainer's words.
        settings: Everything else that decides what is learnt.
        args: From `arguments`.
        evaluator: Measures the model every so many steps.
        log: File for every number.
        progress: Told how far it is.
        tensorboard: Folder for its files.
    """

    def __init__(
        self,
        model: TrainableEncoder,
        mixture: Mixture,
        settings: Settings,
        args: TrainingArguments,
        *,
        log: Path,
        evaluator: Evaluator | None = None,
        progress: Progress | None = None,
        tensorboard: Path | None = None,
    ) -> None:
        """Nothing is run."""
        self.evaluator = evaluator
        self.settings = settings
        self._ids: tuple[str, ...] = ()
        self._parts: Mapping[str, float] = {}
        metric = args.metric_for_best_model
        super().__init__(
            model=model,
            args=args,
            data_collator=lambda items: {"item": items[0]},
            train_dataset=_Items(mixture, model, settings.chunk or BUCKET),
            eval_dataset=[] if evaluator else None,
            callbacks=[
                Told(log, progress),
                Saving(settings.save_every),
                Complete(),
                Stopping(metric, settings.patience, lambda: self._ids),
                *_tensorboard(tensorboard if args.process_index == 0 else None),
            ],
        )
        self.remove_callback(PrinterCallback)
        loss = load_loss(settings.loss, **settings.loss_options)
        across = settings.gather and args.world_size > 1
        self._step = Step(
            contrast=Contrast(loss=loss, mask=settings.mask, across=across),
            device=args.device,
            cached=settings.chunk is not None,
            keep=settings.keep,
            backward=self.accelerator.backward,
            autocast=partial(autocast, args.device, bool(settings.bf16)),
        )

    def get_train_dataloader(self) -> DataLoader[dict[str, Item]]:
        """One batch after the other; each process makes its own, so accelerate shares out none."""
        return DataLoader(
            self.train_dataset,
            batch_size=1,
            sampler=SequentialSampler(self.train_dataset),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Forward and backward."""
        model.train()
        one: Item = inputs["item"]
        self._ids = one.batch.ids
        unsynchronised = getattr(model, "no_sync", nullcontext)
        value, parts = self._step(model, self.model, one, unsynchronised=unsynchronised)
        self._parts = parts
        return value

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With what the loss is made of."""
        super().log({**logs, **self._parts} if "loss" in logs else logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """By the evaluator, in the first process; all of them get its numbers."""
        found: list[Any] = [None]
        if self.evaluator and self.is_world_process_zero():
            with autocast(self.args.device, bool(self.settings.bf16)):
                found = [dict(self.evaluator(self.model.encoder()))]
        if self.args.world_size > 1:
            dist.broadcast_object_list(found)
        metrics = {f"eval_{name}": value for name, value in found[0].items()}
        self.log(metrics)
        handler = self.callback_handler
        self.control: Any = handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Only what is trained: of a large model, its adapters."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        kept = {
            name: parameter.detach().cpu().contiguous()
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }
        save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.load_weights(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        self.load_weights(Path(self.state.best_model_checkpoint))

    def load_weights(self, checkpoint: Path) -> None:
        """What a checkpoint holds of the model."""
        held = load_file(checkpoint / WEIGHTS)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(held[name])


def _tensorboard(folder: Path | None) -> list[Any]:
    if folder is None:
        return []
    writer = require("torch.utils.tensorboard", extra="train").SummaryWriter(str(folder))
    return [TensorBoardCallback(writer)]


def autocast(device: torch.device, enabled: bool) -> Any:
    """bfloat16 where it is asked for."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def arguments(
    folder: Path, settings: Settings, *, cpu: bool, metric: str | None
) -> TrainingArguments:
    """The settings in transformers' words.

    Args:
        folder: Of the checkpoints.
        settings: What to do.
        cpu: Whether to leave accelerators alone.
        metric: Name of what decides which checkpoint is best.
    """
    every = settings.every if metric else settings.save_every
    found = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,  # an item is a batch
        num_train_epochs=1,  # of the mixture, which knows the real ones
        learning_rate=settings.lr,
        warmup_steps=settings.warmup,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        seed=settings.seed,
        bf16=bool(settings.bf16),
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and "WORLD_SIZE" in os.environ else None,
        ddp_broadcast_buffers=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=CHECKPOINTS,
        eval_strategy="steps" if metric else "no",
        eval_steps=every,
        load_best_model_at_end=bool(metric),
        metric_for_best_model=f"eval_{metric}" if metric else None,
        greater_is_better=True,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    if found.device.type == "cuda":
        found._n_gpu = 1  # one process a device; DataParallel cannot take our batches
    return found
