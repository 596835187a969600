"""The training loss beside the stacked form of the released code, at the paper's stage-1 size.

python -m benchmarks.training_loss [--variant wang2019] [--quick] [--markdown PAGE]
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil
import torch
from rich.console import Console
from torch import Tensor

from benchmarks import stacked_losses
from benchmarks.machine import describe
from benchmarks.tables import Table, write_block
from drehr_rag.training.contrast import cosines
from drehr_rag.training.losses import load_loss

MODULE = "benchmarks.training_loss"
SIZE = (32, 128, 768)
"""Chunks, positives of each, dimension: DR.EHR-small, stage 1 (PAPER.md §1)."""

RUNS = 3
GOAL = 20
"""Times as fast, and times less memory; judged at the full size only."""

EQUAL = 1e-6
"""Of float32 values."""

Form = Callable[[Tensor, Tensor], Tensor]
"""Anchors (B, d) and unique entities (B·n, d), none repeated, to the loss."""


def forms(variant: str, size: Sequence[int]) -> dict[str, Form]:
    """Either form of a variant; entities are the first chunk's, the second's and so on."""
    count, n, dimension = size
    loss = load_loss("multi-similarity", variant=variant)
    positives = torch.arange(count * n).reshape(count, n)
    stacked = getattr(stacked_losses, variant)
    return {
        "ours": lambda anchors, entities: loss(cosines(anchors, entities), positives),
        "stacked": lambda anchors, entities: stacked(anchors, entities.view(count, n, dimension)),
    }


def inputs(size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Entities near their anchors and near each other: pairs of every kind are kept."""
    count, n, dimension = size
    chance = torch.Generator().manual_seed(0)
    shared = torch.randn(dimension, generator=chance)
    anchors = torch.randn(count, dimension, generator=chance) + shared
    entities = torch.randn(count * n, dimension, generator=chance) + shared
    entities += anchors.repeat_interleave(n, 0) / 5
    return anchors.requires_grad_(), entities.requires_grad_()


def measured(form: Form, size: Sequence[int]) -> dict[str, Any]:
    """Seconds and peak memory above the inputs, forward and backward, of each run."""
    small = inputs((2, 2, 8))
    (cosines(*small).sum() + small[0].sum()).backward()  # threads and buffers are there
    anchors, entities = inputs(size)
    seconds, peaks, value = [], [], 0.0
    for _ in range(RUNS):
        anchors.grad = entities.grad = None
        before = _restarted_peak()
        started = perf_counter()
        loss = form(anchors, entities)
        loss.backward()
        seconds.append(perf_counter() - started)
        peaks.append(_peak() - before)
        value = float(loss.detach())
        del loss
    slope = torch.cat([one.grad for one in (anchors, entities) if one.grad is not None]).norm()
    return {"seconds": seconds, "bytes": peaks, "value": value, "gradient": float(slope)}


def in_own_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """So that neither form finds memory that the other left."""
    command = [sys.executable, "-m", MODULE, "--form", name, "--variant", options.variant]
    command += ["--quick"] * options.quick
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(facts: dict[str, dict[str, Any]], variant: str, size: Sequence[int]) -> Table:
    """Side by side, with ratios."""
    ours, stacked = facts["ours"], facts["stacked"]
    made = Table(
        f"Training loss, {variant}: {size[0]} chunks × {size[1]} positives, {size[2]}-d",
        ("form", "seconds", "peak memory, MB", "value", "gradient"),
    )
    for name, one in facts.items():
        peak = f"{max(one['bytes']) / 1e6:,.0f}"
        slope = f"{one['gradient']:.5e}"
        made.add(name, median(one["seconds"]), peak, f"{one['value']:.8f}", slope)
    time = median(stacked["seconds"]) / median(ours["seconds"])
    memory = max(stacked["bytes"]) / max(ours["bytes"])
    made.add("stacked / ours", f"{time:.1f} ×", f"{memory:.1f} ×", "", "")
    met = "met" if min(time, memory) >= GOAL else "NOT met" if size == SIZE else "not judged"
    same = "equal" if abs(ours["value"] - stacked["value"]) <= EQUAL else "NOT equal"
    made.note = (
        f"Forward and backward in float32, {torch.get_num_threads()} threads, each form in a "
        f"process of its own: median seconds of {RUNS} runs; the highest resident memory above "
        f"what the inputs take. Gradients: norms. Values {same} (within {EQUAL:g}). "
        f"Goal: at least {GOAL} × in both: {met}."
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(MODULE, description=__doc__)
    parser.add_argument("--variant", default="released", choices=("released", "wang2019"))
    parser.add_argument("--quick", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--form", choices=("ours", "stacked"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    size = (8, 16, 64) if options.quick else SIZE
    if options.form:
        print(json.dumps(measured(forms(options.variant, size)[options.form], size)))
        return
    facts = {name: in_own_process(name, options) for name in ("ours", "stacked")}
    made, machine = table(facts, options.variant, size), describe(MODULE)
    made.show(Console())
    if options.markdown:
        where = f"- {machine['date']}: `{machine['command']}`\n- {machine['machine']}\n- "
        text = f"{where}{machine['versions']}\n\n{made.markdown()}"
        write_block(options.markdown, f"loss {options.variant}", text, by=MODULE)


def _restarted_peak() -> int:
    """Resident bytes now; the system's high-water mark begins here. Linux only."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(psutil.Process().memory_info().rss)


def _peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
