"""What the three scripts share: options, preparation, and where the tables go."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpora import ROOT, data_folder
from benchmarks.publish import publish
from benchmarks.tables import Table
from benchmarks.versus.chunks import DEFAULT, chunk_file
from benchmarks.versus.environment import competitors
from benchmarks.versus.quality import Judge
from benchmarks.versus.rounds import Bench, System, forget

QUICK = 60
"""Chunks of a quick run."""

ROUNDS = 3
MISSING = "not run: the competitors are not installed (make bench-versus installs them)"


More = Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True)
class Script:
    """One script's run.

    Attributes:
        bench: What runs the systems.
        judge: What measures nDCG@10.
        query_file: The development sets' queries.
        options: Of the command line.
    """

    name: str
    bench: Bench
    judge: Judge
    query_file: Path
    options: argparse.Namespace

    @property
    def rounds(self) -> int:
        """How often each system is measured."""
        return int(self.options.rounds)

    def skipped(self, systems: Sequence[System]) -> list[System]:
        """Those that cannot run here."""
        return [system for system in systems if not self.bench.can_run(system)]

    def publish(self, tables: Sequence[Table], facts: Mapping[str, Any]) -> None:
        """Print the tables and write what was asked for."""
        publish(
            f"Versus: {self.name}",
            tables,
            {self.name: facts},
            block=f"versus-{self.name}",
            by=self.options.command,
            options=self.options,
            few="a few chunks",
        )


def prepare(
    name: str, about: str, arguments: Sequence[str] | None, more: More | None = None
) -> Script:
    """Read the command line, cut the chunks, see to the competitors.

    Args:
        name: Of the script.
        about: Its docstring.
        arguments: In place of the command line.
        more: Adds the script's own options.
    """
    options = _options(name, about, arguments, more)
    data, work = data_folder(), options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    if options.fresh:
        forget(work)
    path = chunk_file(data, options.chunks, work)
    judge = Judge(data, path)
    theirs = competitors(work, build=not options.quick)
    return Script(name, Bench(work, path, theirs), judge, judge.query_file(work), options)


def _options(
    name: str, about: str, arguments: Sequence[str] | None, more: More | None
) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    module = f"benchmarks.{name}"
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=about, formatter_class=shape
    )
    add = parser.add_argument
    add("--chunks", type=int, metavar="N", help=f"ready-made chunks (default {DEFAULT:,})")
    add("--rounds", type=int, metavar="N", help=f"repetitions, interleaved (default {ROUNDS})")
    add("--quick", action="store_true",
        help=f"{QUICK} chunks, one round, only what is installed; shows that it works")  # fmt: skip
    add("--work", type=Path, default=ROOT / ".bench", metavar="FOLDER",
        help="where chunks, answers so far and competitors are (default .bench)")  # fmt: skip
    add("--fresh", action="store_true", help="measure again what was measured before")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--markdown", type=Path, metavar="PAGE", help="write the tables there, as a block")
    if more:
        more(parser)
    options = parser.parse_args(arguments)
    options.chunks = options.chunks or (QUICK if options.quick else DEFAULT)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    options.command = module
    return options
