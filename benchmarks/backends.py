"""Backends side by side: the same weights on the same chunks of real notes, in turn.

    python -m benchmarks.backends [--encoder offline] [--texts 600] [--runs 3] [--processes 2]
                                  [--markdown docs/measurements.md]

Ratios are to torch as it comes (bfloat16 where the processor computes in it).
"""

import argparse
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import Corpus, corpora, data_folder
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.protocols import Encoder
from drehr_rag.types import Note

SOURCES = ("MTSamples", "VAERS 2004")
"""Long and short notes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _options(arguments)
    stamp = machine.describe("benchmarks.backends")
    encoders = _encoders(options.encoder, options.processes)
    with tempfile.TemporaryDirectory() as scratch:
        sources = [s for s in corpora(data_folder(), Path(scratch)) if s.name in SOURCES]
        texts = _chunks(sources, encoders["torch"], options.texts)
    table = measure(encoders, texts, options.runs)
    head = [f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"]]
    out = Console(width=150)
    for line in head:
        out.print(line, markup=False)
    table.show(out)
    if options.markdown:
        lines = "\n".join(f"- {line}" for line in head)
        write_block(options.markdown, "backends", f"## Backends\n\n{lines}\n\n{table.markdown()}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backends", description=__doc__, formatter_class=shape
    )
    add = parser.add_argument
    add("--encoder", default="offline", help="as in drehr-rag index")
    add("--texts", type=int, default=600, help="chunks to encode")
    add("--runs", type=int, default=3, help="of each, in turn; the median counts")
    add("--processes", type=int, default=0, help="torch in so many processes too")
    add("--markdown", type=Path, metavar="PAGE", help="write the table there")
    return parser.parse_args(arguments)


def _encoders(name: str, processes: int) -> dict[str, Encoder]:
    made = {
        "torch float32": load_encoder(name, device="cpu", backend="torch", precision="float32"),
        "torch": load_encoder(name, device="cpu", backend="torch"),
        "openvino": load_encoder(name, backend="openvino"),
        "openvino float32": load_encoder(name, backend="openvino", precision="float32"),
    }
    if processes > 1:
        made[f"torch, {processes} processes"] = load_encoder(name, device=["cpu"] * processes)
    return made


def _chunks(sources: Sequence[Corpus], encoder: Encoder, count: int) -> list[str]:
    """As many from each source, spread over its notes, as indexing would cut them."""
    chunker = load_chunker(
        "sections", count_tokens=encoder.count_tokens, max_tokens=encoder.max_tokens
    )
    texts: list[str] = []
    for source in sources:
        notes = [note for note in source.notes() if isinstance(note, Note)]
        some = notes[:: max(1, len(notes) // count)]
        cut = [chunk.text for chunks in chunker.split(some) for chunk in chunks]
        share = count // len(sources)
        texts += cut[:: max(1, len(cut) // share)][:share]
    return texts


def measure(encoders: dict[str, Encoder], texts: Sequence[str], runs: int) -> Table:
    """Encode the texts with each encoder in turn, `runs` times, and compare the vectors."""
    exact = encoders["torch float32"].encode_passages(texts)
    worst = {
        name: float(np.min(np.sum(encoder.encode_passages(texts) * exact, axis=1)))
        for name, encoder in encoders.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for run in range(runs):
        order = list(encoders) if run % 2 else list(reversed(encoders))
        for name in order:  # a machine that slows down must not favour the one that goes first
            started = perf_counter()
            encoders[name].encode_passages(texts)
            seconds[name].append(perf_counter() - started)
    table = Table("Backends", ("backend", "runs as", "texts/s", "slowest to fastest", "ratio",
                               "least cosine"), left=2)  # fmt: skip
    base = median(seconds["torch"])
    for name, spent in seconds.items():
        rates = sorted(len(texts) / s for s in spent)
        table.add(name, getattr(encoders[name], "backend", ""), f"{len(texts) / median(spent):.1f}",
                  f"{rates[0]:.1f} to {rates[-1]:.1f}", f"{base / median(spent):.2f}",
                  f"{worst[name]:.5f}")  # fmt: skip
    tokens = encoders["torch"].count_tokens(texts)
    table.note = (
        f"{len(texts):,} chunks of MTSamples and VAERS 2004, {np.mean(tokens):.0f} tokens on "
        f"average; medians of {runs} runs in turn in one process after a first that does not "
        f"count; ratio: to torch; cosine: to torch float32. openvino {version('openvino')}."
    )
    return table


if __name__ == "__main__":
    main()
