"""What a worker is asked: a JSON file named on its command line; what it answers: another."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        task: What to do, one of the worker's own.
        chunks: File of chunks, one JSON line each.
        folder: An empty folder for the worker's files; gone after the measurement.
        out: Where the answer goes; arrays go beside it.
        options: The worker's own.
    """

    task: str
    chunks: Path
    folder: Path
    out: Path
    options: dict[str, Any] = field(default_factory=dict)

    def rows(self) -> list[dict[str, str]]:
        """The chunks."""
        with self.chunks.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def beside(self, name: str) -> Path:
        """A file next to the answer."""
        return self.out.with_name(f"{self.out.stem}-{name}")


Work = Callable[[Job], dict[str, Any]]


def main(tasks: dict[str, Work], packages: tuple[str, ...]) -> None:
    """Do the job that the command line names; the answer is written last and whole."""
    content = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    paths = {name: Path(content[name]) for name in ("chunks", "folder", "out")}
    job = Job(content["task"], **paths, options=content["options"])
    answer = {"versions": {name: version(name) for name in packages}, **tasks[job.task](job)}
    fresh = job.out.with_suffix(".tmp")
    fresh.write_text(json.dumps(answer), encoding="utf-8")
    fresh.rename(job.out)
