"""A result: one folder with scores per query, the ranking, the judgments and a manifest.

```text
RESULT/
├── manifest.json     what was measured, on what, by what, with which command and versions
├── scores.jsonl.gz   one line a cell: setting, match, measure, values {item: value}
├── queries.jsonl     query_id, text, type (queries, never notes)
├── judged.tsv.gz     query-id, corpus-id, score, match
└── run.json.gz       the best 1,000 chunks of each query (BEIR's form)
```
"""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from drehr_rag import __version__
from drehr_rag._files import checksum
from drehr_rag.errors import EvaluationError
from drehr_rag.eval._files import opened, written
from drehr_rag.eval.qrels import read_qrels, write_qrels
from drehr_rag.eval.runs import Run, SavedRun, write_run
from drehr_rag.eval.scoring import Cell, Scores, query_of
from drehr_rag.eval.task import Qrels, Query, Task

FORM = 1
"""Of the folder; raised when an older reader would misread it."""

FILES = ("scores.jsonl.gz", "queries.jsonl", "judged.tsv.gz", "run.json.gz")
"""What a result that was cut off may have left; the manifest is written last."""

PACKAGES = (
    "ir-measures",
    "numpy",
    "pytrec-eval-terrier",
    "qdrant-client",
    "qdrant-edge-py",
    "sentence-transformers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Result:
    """What a system scored on a benchmark.

    Attributes:
        name: Of the system, for tables ("hybrid, offline").
        benchmark: Name of the benchmark.
        scores: Values per cell and item.
        queries: Query id → query.
        qrels: Query id → chunk id → judgment.
        run: The ranking, 1,000 deep once it was saved.
        manifest: `benchmark` (name, place, options, files with checksums, counts), `system`
            (encoder, fingerprint, mode, … or a run file's checksum), `seconds`, `latency_ms`,
            `command`, `seed`, `versions`, `made`.
    """

    name: str
    benchmark: str
    scores: Scores
    queries: Mapping[str, Query]
    qrels: Qrels
    run: Run = field(repr=False)
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def items(self, cell: Cell, type: str | None = None) -> dict[str, float]:
        """A cell's values, or those of the queries of one type; empty if there are none."""
        values = self.scores.get(cell, {})
        return {
            item: value
            for item, value in values.items()
            if type is None or self.queries[query_of(item)].type == type
        }

    def save(self, folder: str | Path) -> Path:
        """Write the folder; one that holds anything but a half-written result is refused.

        Raises:
            EvaluationError: The folder cannot be made or is not empty.
        """
        place = new_folder(folder)
        with written(place / "scores.jsonl.gz") as stream:
            for cell, values in self.scores.items():
                stream.write(json.dumps({**cell._asdict(), "values": values}) + "\n")
        with written(place / "queries.jsonl") as stream:
            for query_id, query in self.queries.items():
                row = {"query_id": query_id, "text": query.text, "type": query.type}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        write_qrels(self.qrels, place / "judged.tsv.gz")
        write_run(self.run, place / "run.json.gz")
        files = {name: checksum(place / name) for name in FILES}
        manifest = {
            "form": FORM,
            "name": self.name,
            **self.manifest,
            "benchmark": {"name": self.benchmark, **self.manifest.get("benchmark", {})},
            "files": files,
        }
        with written(place / "manifest.json") as stream:  # last: a folder without it is no result
            json.dump(manifest, stream, indent=2, default=str)
        return place

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder that `save` wrote.

        Raises:
            EvaluationError: It is no result, or a file was changed since.
        """
        place = Path(folder)
        if not (place / "manifest.json").is_file():
            raise EvaluationError(f"{place} is no result: it has no manifest.json")
        with opened(place / "manifest.json") as stream:
            manifest = _json(stream.read(), place / "manifest.json")
        form = manifest.get("form") if isinstance(manifest, dict) else None
        if form != FORM:
            raise EvaluationError(f"{place} is of form {form}, not {FORM}")
        held = manifest.get("files")
        named = manifest.get("name"), (manifest.get("benchmark") or {}).get("name")
        if not isinstance(held, dict) or not all(isinstance(name, str) for name in named):
            raise EvaluationError(f"{place / 'manifest.json'} was changed: it is no longer whole")
        for name in FILES:
            if not (place / name).is_file() or checksum(place / name) != held.get(name):
                raise EvaluationError(f"{place / name} is missing or was changed since it was made")
        with opened(place / "scores.jsonl.gz") as stream:
            rows = [_json(line, place) for line in stream]
        scores = {Cell(r["setting"], r["match"], r["measure"]): r["values"] for r in rows}
        with opened(place / "queries.jsonl") as stream:
            queries = {r["query_id"]: Query(r["text"], r["type"]) for r in map(json.loads, stream)}
        return cls(
            name=manifest["name"],
            benchmark=manifest["benchmark"]["name"],
            scores=scores,
            queries=queries,
            qrels=read_qrels(place / "judged.tsv.gz"),
            run=SavedRun(place / "run.json.gz"),
            manifest=manifest,
        )


def new_folder(folder: str | Path) -> Path:
    """The folder, made if need be, in which a result can be written.

    Raises:
        EvaluationError: It cannot be made, or holds anything but a half-written result.
    """
    place = Path(folder)
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = [file.name for file in place.iterdir() if file.name not in FILES]
    except FileExistsError:
        raise EvaluationError(f"{place} is a file: name a new folder for the result") from None
    except OSError as problem:
        raise EvaluationError(f"{place} cannot be a result: {problem.strerror}") from None
    if foreign or (place / "manifest.json").exists():
        raise EvaluationError(f"{place} is not empty: name a new folder for the result")
    if not os.access(place, os.W_OK):
        raise EvaluationError(f"{place} cannot be written to: name a new folder for the result")
    return place


def result(
    name: str, task: Task, run: Run, scores: Scores, *, manifest: Mapping[str, Any] | None = None
) -> Result:
    """A result with what can be said of this machine and of the task's data filled in."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    counts = {
        "passages": len(task.passages),
        "queries": len(task.queries),
        "judgments": sum(map(len, task.qrels.values())),
    }
    facts = {
        "benchmark": {**task.facts, **counts},
        "versions": _versions(),
        "made": made,
        "seed": None,  # of what is drawn; neither search nor scoring draws anything
        **(manifest or {}),
    }
    return Result(name, task.name, scores, task.queries, task.qrels, run, facts)


def _versions() -> dict[str, str]:
    found = {"drehr-rag": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _json(text: str, place: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise EvaluationError(f"{place} holds broken JSON") from None
