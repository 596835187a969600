"""Runs every system in turn, round after round, each in a process of its own; keeps the answers.

An answer is kept in the work folder under a name that says what it answers (chunks, options, our
code or their pins), so a run that was cut off goes on where it stopped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.corpora import ROOT
from benchmarks.versus import chunks
from benchmarks.versus.environment import PINS
from benchmarks.versus.workers.job import Job

WORKERS = Path(__file__).parent / "workers"
SHARED = [
    WORKERS / f"{name}.py" for name in ("clock", "job", "known", "memory", "meter", "queries")
]

Answer = dict[str, Any]
Round = dict[str, Answer]
"""System's name → what its worker answered."""


@dataclass(frozen=True)
class System:
    """Something measured.

    Attributes:
        name: As tables print it.
        worker: Module in `workers/`.
        theirs: Runs in the competitors' environment.
        options: The worker's own.
        first: Options of the first round only.
    """

    name: str
    worker: str
    theirs: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    first: Mapping[str, Any] = field(default_factory=dict)


class Bench:
    """A work folder, a file of chunks and an interpreter for each kind of system.

    Args:
        work: Where files and answers are kept.
        chunk_file: What everybody gets.
        competitors: Python of the competitors' environment; without one they are passed over.
    """

    def __init__(self, work: Path, chunk_file: Path, competitors: Path | None) -> None:
        """Nothing is run."""
        self.work = work.absolute()
        self.chunk_file = chunk_file.absolute()
        self._theirs = competitors
        self._chunks = chunks.digest(chunk_file)
        package = [*sorted((ROOT / "drehr_rag").rglob("*.py")), WORKERS / "ours.py"]
        self._ours = _digest(package)

    def can_run(self, system: System) -> bool:
        """Whether its interpreter is there."""
        return not system.theirs or self._theirs is not None

    def rounds(self, systems: Sequence[System], task: str, count: int) -> list[Round]:
        """Each system once a round; every other round backwards, so that no one profits."""
        found: list[Round] = []
        present = [system for system in systems if self.can_run(system)]
        for number in range(count):
            answers: Round = {}
            for system in present if number % 2 == 0 else present[::-1]:
                answers[system.name] = self.answer(system, task, number)
            found.append(answers)
        return found

    def answer(self, system: System, task: str, number: int = 0) -> Answer:
        """What the worker answers, or answered before."""
        options = {**system.options, **(system.first if number == 0 else {})}
        name = f"{task}-{system.worker}-{number}-{self.key(system, options)}.json"
        out = self.work / "answers" / name
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            self._run(system, task, options, out)
        answer: Answer = json.loads(out.read_text(encoding="utf-8"))
        answer["arrays"] = str(out.with_suffix(""))
        _say(f"{task}, round {number + 1}: {system.name} {answer.get('seconds', 0):.1f} s")
        return answer

    def key(self, system: System, options: Mapping[str, Any]) -> str:
        """Changes with everything that may change an answer: chunks, options, code or versions."""
        code = [_digest([*SHARED, WORKERS / f"{system.worker}.py"])]
        if system.theirs:
            code.append(PINS.read_text(encoding="utf-8"))
        elif system.worker.startswith("ours"):
            code.append(self._ours)
        made_of = [self._chunks, options, code]
        return sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]

    def _run(self, system: System, task: str, options: Mapping[str, Any], out: Path) -> None:
        python = self._theirs if system.theirs else Path(sys.executable)
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            job = Job(task, self.chunk_file, Path(folder), out, dict(options))
            order = Path(folder) / "job.json"
            order.write_text(json.dumps(asdict(job), default=str), encoding="utf-8")
            module = f"benchmarks.versus.workers.{system.worker}"
            command = [str(python), "-m", module, str(order)]
            run = subprocess.run(
                command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
            )
        if run.returncode:
            sys.exit(f"{system.name}, {task}: failed (what was measured is kept)\n{run.stderr}")


def _environment() -> dict[str, str]:
    """No hub, no tracing, no other packages than the interpreter's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LANG"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}


def _digest(files: Sequence[Path]) -> str:
    return sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def forget(work: Path) -> None:
    """Throw answers and stores away; the chunks and the environment stay."""
    for name in ("answers", "stores"):
        shutil.rmtree(work / name, ignore_errors=True)
