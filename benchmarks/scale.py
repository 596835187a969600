"""What a store in a folder costs at 50,000, 200,000 and a million chunks of 384 dimensions.

    nice -n 10 python -m benchmarks.scale --folder FOLDER [--size 50000 …] [--json FILE]

Sizes are cumulative and the folder keeps everything: a run that was cut off goes on where it was,
and `--again search` measures a step anew. Each step is a process of its own, so that its memory is
nobody else's. The data is in `$DREHR_SHARED_DATA` or `../shared/data`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, scale_tables
from benchmarks.corpora import ROOT
from benchmarks.synthetic import BLOCK, real_chunks

STEPS = ("write", "optimise", "search", "change")
SIZES = (50_000, 200_000, 1_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the steps that are left, then show what all of them found."""
    options = _options(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.step:
        _one_step(options.folder, options.step, options.size[0])
        return
    facts = _load(options.folder)
    facts["stamp"] = machine.describe("benchmarks.scale")
    real_chunks(options.folder, options.every)
    for name, size in [("likeness", 0), *((step, size) for size in options.size for step in STEPS)]:
        done = facts.setdefault(str(size), {})
        if name not in done or name in options.again:
            done[name] = _apart(options.folder, name, size)
            _save(options.folder, facts)
    out = Console(width=150)
    for table in scale_tables.tables(facts):
        out.print()
        table.show(out)
    if options.json:
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=shape
    )
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where the store and the figures are kept")
    add("--size", type=int, nargs="+", default=list(SIZES), help="chunks")
    add("--every", type=int, default=3, metavar="N", help="encode one real note in N (default 3)")
    add("--again", choices=STEPS, nargs="+", default=[], help="measure these steps anew")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--step", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step != "likeness" and any(n < BLOCK or n % BLOCK for n in options.size):
        parser.error(f"--size is a multiple of {BLOCK:,}")
    options.size.sort()
    return options


def _apart(folder: Path, step: str, size: int) -> dict[str, Any]:
    """Run a step in a process of its own; numpy with one thread, as the machine is shared."""
    print(f"{size:,}: {step}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.scale", "--folder", str(folder)]
    command += ["--step", step, "--size", str(size)]
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **one})
    found: dict[str, Any] = json.loads((folder / "step.json").read_text())
    return found


def _one_step(folder: Path, step: str, size: int) -> None:
    from benchmarks import scale_steps

    found = getattr(scale_steps, step)(folder.absolute(), size)
    found["load"] = round(os.getloadavg()[0], 1)
    (folder / "step.json").write_text(json.dumps(found))


def _load(folder: Path) -> dict[str, Any]:
    path = folder / "scale.json"
    facts: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return facts


def _save(folder: Path, facts: dict[str, Any]) -> None:
    temporary = folder / "scale.tmp"
    temporary.write_text(json.dumps(facts, indent=2) + "\n")
    temporary.replace(folder / "scale.json")


if __name__ == "__main__":
    main()
