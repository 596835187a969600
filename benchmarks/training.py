"""A training step beside the plain form of the released code, on equal batches.

Plain: every positive is encoded as often as it occurs, padded to the longest, all in one graph;
the loss stacks a copy of all negatives for each anchor. Ours: each text once, in chunks of about
equal length, with GradCache or at once; one matrix product.

python -m benchmarks.training [--bf16] [--quick] [--markdown PAGE]
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from benchmarks import stacked_losses
from benchmarks.machine import describe
from benchmarks.tables import Table, write_block
from benchmarks.training_loss import _peak, _restarted_peak
from drehr_rag.training.batches import Batch
from drehr_rag.training.contrast import Contrast
from drehr_rag.training.examples import Example
from drehr_rag.training.loading import trainable
from drehr_rag.training.losses import load_loss
from drehr_rag.training.mixture import Mixture, Source
from drehr_rag.training.model import TrainableEncoder
from drehr_rag.training.settings import Settings
from drehr_rag.training.step import BUCKET, Step, item

MODULE = "benchmarks.training"
FORMS = ("ours, GradCache", "ours, at once", "plain")
STEPS = 3
CHUNK = 64
SIZE, QUICK = (32, 16), (4, 4)
"""Chunks, positives of each: DR.EHR-small's stage 2 (PAPER.md §1)."""

SYLLABLES = "car di o my path neph ro ther hep at itis emia oma pul mon ary gas tro".split()


def batches(size: Sequence[int]) -> Mixture:
    """Invented notes of 100 words; entities follow Zipf's law, as those of notes do: some recur."""
    chance = random.Random(0)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(3000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]

    def drawn(count: int) -> list[str]:
        return chance.choices(words, weights, k=count)

    made = [
        Example(
            idx=f"n{i}",
            text=" ".join(drawn(100)),
            entities=tuple(" ".join(drawn(chance.randint(1, 4))) for _ in range(40)),
        )
        for i in range(size[0] * 2)
    ]
    return Mixture([Source(made)], Settings(batch=size[0], positives=size[1], steps=STEPS + 1))


def plain(model: TrainableEncoder, batch: Batch) -> Tensor:
    """Everything in one graph, with repetition."""
    places = batch.places
    repeated = [batch.entities[i] for i in places.positives.flatten().tolist()]
    passages = model(model.features([batch.passages[i] for i in places.anchors], query=False))
    entities = model(model.features(repeated, query=True)).float()
    count, n = places.positives.shape
    value = stacked_losses.released(passages.float(), entities.view(count, n, -1))
    value.backward()
    return value.detach()


def ours(*, cached: bool) -> Callable[[TrainableEncoder, Batch], Tensor]:
    """A step as the trainer takes it; unmasked, so that the values are those of the plain form."""
    contrast = Contrast(loss=load_loss("multi-similarity"), mask=False)
    device = torch.device("cpu")
    step = Step(contrast=contrast, device=device, cached=cached, autocast=nullcontext)

    def take(model: TrainableEncoder, batch: Batch) -> Tensor:
        one = item(model, batch, size=CHUNK if cached else BUCKET)
        return step(model, model, one, unsynchronised=nullcontext)[0]

    return take


def measured(form: str, *, size: Sequence[int], bf16: bool) -> dict[str, Any]:
    """Seconds, peak memory and loss of each step after the first; dropout is off."""
    model = trainable("offline", Settings()).eval()
    takes = {FORMS[0]: ours(cached=True), FORMS[1]: ours(cached=False), FORMS[2]: plain}
    mixture = batches(size)
    seconds, peaks, values = [], [], []
    for number in range(len(mixture)):
        batch = mixture[number]
        model.zero_grad()
        before = _restarted_peak()
        started = perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            values.append(float(takes[form](model, batch)))
        seconds.append(perf_counter() - started)
        peaks.append(_peak() - before)
    return {"seconds": seconds[1:], "bytes": peaks[1:], "values": values[1:]}


def in_own_process(form: str, options: argparse.Namespace) -> dict[str, Any]:
    """So that no form finds memory that another left."""
    command = [sys.executable, "-m", MODULE, "--form", form]
    command += ["--quick"] * options.quick + ["--bf16"] * options.bf16
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(facts: dict[str, dict[str, Any]], size: Sequence[int], *, bf16: bool) -> Table:
    """Side by side, with ratios to the plain form."""
    kind = "bfloat16" if bf16 else "float32"
    made = Table(
        f"Training step, MiniLM, {size[0]} chunks × {size[1]} positives, {kind}",
        ("form", "seconds a step", "peak memory, MB", "loss", "times as fast", "times less memory"),
    )
    other = facts["plain"]
    for name, one in facts.items():
        faster = median(other["seconds"]) / median(one["seconds"])
        leaner = max(other["bytes"]) / max(*one["bytes"], 1)
        peak = f"{max(one['bytes']) / 1e6:,.0f}"
        loss = f"{one['values'][-1]:.6f}"
        made.add(name, median(one["seconds"]), peak, loss, f"{faster:.2f} ×", f"{leaner:.2f} ×")
    made.note = (
        f"Forward and backward on {torch.get_num_threads()} threads, each form in a process of its "
        f"own: median of {STEPS} steps after one that warms up; the highest resident memory above "
        "what stood before the step. Dropout is off and nothing masked, so the losses agree."
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(MODULE, description=__doc__)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else SIZE
    if options.form:
        print(json.dumps(measured(options.form, size=size, bf16=options.bf16)))
        return
    facts = {form: in_own_process(form, options) for form in FORMS}
    made, machine = table(facts, size, bf16=options.bf16), describe(MODULE)
    made.show(Console())
    if options.markdown:
        where = f"- {machine['date']}: `{machine['command']}`\n- {machine['machine']}\n- "
        text = f"{where}{machine['versions']}\n\n{made.markdown()}"
        write_block(options.markdown, f"training step {made.title}", text, by=MODULE)


if __name__ == "__main__":
    main()
