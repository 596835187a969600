"""What the three scripts share: options, preparation, and where the tables go."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import ROOT, data_folder
from benchmarks.tables import Table, write_block
from benchmarks.versus.chunks import DEFAULT, chunk_file
from benchmarks.versus.environment import competitors
from benchmarks.versus.quality import Judge
from benchmarks.versus.rounds import Bench, System, forget

QUICK = 120
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
        stamp = machine.describe(self.options.command)
        lines = [f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"]]
        if self.options.quick:
            lines.insert(0, "QUICK RUN on a few chunks: the figures mean nothing.")
        out = Console(width=150)
        for line in lines:
            out.print(line, markup=False)
        for table in tables:
            table.title += " (quick)" if self.options.quick else ""
            out.print()
            table.show(out)
        if self.options.json:
            content = {"quick": self.options.quick, **stamp, self.name: facts}
            self.options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if self.options.markdown:
            head = "\n".join(f"- {line}" for line in lines)
            text = "\n\n".join(
                [f"## Versus: {self.name}", head, *(table.markdown() for table in tables)]
            )
            write_block(self.options.markdown, f"versus-{self.name}", text, by=self.options.command)


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
