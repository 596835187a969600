"""Builds a file of examples from a stream of chunks, so that a killed build loses nothing.

```text
chunks ──► work ──► outcomes, in order ──► NAME.journal ──► NAME.jsonl[.gz]       examples
           (here, in processes, or                          NAME.failures.jsonl   id and reason
            concurrently)                                   NAME.manifest.json    settings, counts
```

Both stages build with it. The journal is the only state: a run with the same settings and notes
reads it, passes over the chunks that stand there, and goes on, so that the files are byte for byte
those of an undisturbed run. A chunk that a server did not answer is tried once more at the end.
"""

from collections.abc import Iterable, Mapping
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from drehr_rag._arguments import whole
from drehr_rag.training.build_files import beside, finished, known_by_of
from drehr_rag.training.build_run import BuildRun, Progress
from drehr_rag.training.ordered import AsyncWork, Work, concurrently, in_order
from drehr_rag.types import Chunk

__all__ = ["PATIENCE", "Progress", "beside", "build", "build_async"]

PATIENCE = 10
"""Chunks without an answer, one after the other, after which a build stops: the server is gone."""


def build(
    chunks: Iterable[Chunk],
    work: Work,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    sources: Mapping[str, str],
    licences: Mapping[str, str] | None = None,
    account: Mapping[str, Any] | None = None,
    workers: int = 1,
    patience: int = PATIENCE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build with a function, over several processes if `workers` is over 1.

    Args:
        chunks: A stream; `chunk_id` becomes the examples' `idx`. The same whenever it is read.
        work: Gives each chunk's outcome, the same whenever and wherever it is called; it must be
            possible to pickle it if there are several workers.
        output: `NAME.jsonl` or `NAME.jsonl.gz`; the other files stand beside it.
        settings: What decides on the outcomes, as JSON values: for the manifest, and to tell
            whether a build may go on.
        sources: Checksum of each file that was read, by name; likewise.
        licences: Of the sources, by name, as far as they are known: for the manifest.
        account: What the stream counts of itself (notes read, dropped, …): read when it has ended.
        workers: Processes.
        patience: Chunks in a row without an answer, after which it stops.
        progress: Called for every chunk.

    Returns:
        The manifest. If the output is there, built with the same settings, nothing is done.

    Raises:
        TrainingError: A file cannot be written, or is of another build; the message says what
            differs. Or the server is gone.
        BadArgument: The output's name does not end in .jsonl or .jsonl.gz.
    """
    whole(workers, "workers", 1)
    known_by = known_by_of(settings, sources)
    if (there := finished(Path(output), known_by)) is not None:
        return there
    with BuildRun(Path(output), known_by, patience, progress) as run:
        for some in (run.left, run.again):
            with closing(in_order(work, some(chunks), workers=workers)) as outcomes:
                for idx, outcome in outcomes:
                    run.take(idx, outcome)
        return run.finish(account or {}, licences or {})


async def build_async(
    chunks: Iterable[Chunk],
    work: AsyncWork,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    sources: Mapping[str, str],
    licences: Mapping[str, str] | None = None,
    account: Mapping[str, Any] | None = None,
    concurrency: int = 16,
    patience: int = PATIENCE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build with an asynchronous function, at most `concurrency` chunks at a time.

    All else as for `build`.
    """
    whole(concurrency, "concurrency", 1)
    known_by = known_by_of(settings, sources)
    if (there := finished(Path(output), known_by)) is not None:
        return there
    with BuildRun(Path(output), known_by, patience, progress) as run:
        for some in (run.left, run.again):
            async with aclosing(
                concurrently(work, some(chunks), concurrency=concurrency)
            ) as outcomes:
                async for idx, outcome in outcomes:
                    run.take(idx, outcome)
        return run.finish(account or {}, licences or {})
