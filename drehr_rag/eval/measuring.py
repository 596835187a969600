"""One system on one task: retrieved, scored, and told in a manifest."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from drehr_rag.eval.results import Result, result
from drehr_rag.eval.retrieval import DEPTH, Progress, Retrieved, retrieve
from drehr_rag.eval.scoring import score
from drehr_rag.eval.task import Measures, Task
from drehr_rag.protocols import Encoder
from drehr_rag.stores import ScopedStore
from drehr_rag.types import AssertionMode


def measured(
    task: Task,
    mode: str,
    encoder: Encoder | None,
    store: ScopedStore,
    *,
    name: str,
    command: str,
    options: Mapping[str, Any] | None = None,
    assertion: AssertionMode = "ranked",
    depth: int = DEPTH,
    exact: bool = True,
    measures: Measures | None = None,
    progress: Progress | None = None,
) -> tuple[Retrieved, Result]:
    """What `retrieve` found, and the result that it scored.

    Args:
        task: The benchmark.
        mode: As for `retrieve`, like `encoder`, `store`, `options`, `depth` and `progress`.
        encoder: What the store was filled with.
        store: From `fill_store`.
        name: Of the system, for tables.
        command: As it was typed.
        options: The retriever's own.
        assertion: As for `retrieve`.
        depth: Chunks of a multi-patient ranking.
        exact: How the store was filled; told in the manifest.
        measures: Instead of the task's own.
        progress: Told how many queries are done.
    """
    how: dict[str, Any] = {"depth": depth, "options": options, "assertion": assertion}
    found = retrieve(task, mode, encoder, store, **how, progress=progress)
    manifest = {
        "system": {
            "mode": mode,
            "options": dict(options or {}),
            "assertion": assertion,
            "encoder": encoder.name if encoder else None,
            "fingerprint": asdict(encoder.fingerprint) if encoder else None,
            "depth": depth,
            "exact": exact,
        },
        "latency_ms": dict(found.latency_ms),
        "seconds": dict(found.seconds),
        "command": command,
    }
    scores = score(task, found.run, single=found.single, measures=measures)
    return found, result(name, task, found.run, scores, manifest=manifest)
