"""Builds a file of examples from a stream of chunks, so that a killed build loses nothing.

```text
chunks ──► work ──► outcomes, in order ──► NAME.journal ──► NAME.jsonl[.gz]       examples
           (here, in processes, or                          NAME.failures.jsonl   id and reason
            concurrently)                                   NAME.manifest.json    settings, counts
```

Both stages build with it. The journal is the only state: a run with the same settings and notes
reads it, passes over the chunks that stand there, and goes on, so that the files are byte for byte
those of an undisturbed run.
"""

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from drehr_rag._arguments import whole
from drehr_rag._files import checksum, written
from drehr_rag.errors import TrainingError
from drehr_rag.training.build_files import beside, finished, known_by_of
from drehr_rag.training.journal import Journal
from drehr_rag.training.ordered import AsyncWork, Work, concurrently, in_order
from drehr_rag.training.outcomes import Outcome, Tally
from drehr_rag.types import Chunk

__all__ = ["PATIENCE", "Progress", "beside", "build", "build_async"]

PATIENCE = 10
"""Chunks without an answer, one after the other, after which a build stops: the server is gone."""

Progress = Callable[[Tally], object]
"""Called with the sums so far."""


def build(
    chunks: Iterable[Chunk],
    work: Work,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    sources: Mapping[str, str],
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
        account: What the stream counts of itself (notes read, dropped, …): read when it has ended.
        workers: Processes.
        patience: See `Outcome.unanswered`.
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
    with _Run(Path(output), known_by, patience, progress) as run:
        with closing(in_order(work, run.left(chunks), workers=workers)) as outcomes:
            for idx, outcome in outcomes:
                run.take(idx, outcome)
        return run.finish(account or {})


async def build_async(
    chunks: Iterable[Chunk],
    work: AsyncWork,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    sources: Mapping[str, str],
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
    with _Run(Path(output), known_by, patience, progress) as run:
        async with aclosing(
            concurrently(work, run.left(chunks), concurrency=concurrency)
        ) as outcomes:
            async for idx, outcome in outcomes:
                run.take(idx, outcome)
        return run.finish(account or {})


class _Run:
    """One run of a build: passes over what is done, writes what is new, makes the files."""

    def __init__(
        self, output: Path, known_by: Mapping[str, Any], patience: int, progress: Progress | None
    ) -> None:
        self._output, self._known_by = output, known_by
        self._patience, self._progress = patience, progress
        self._tally = Tally()
        self._held: list[dict[str, Any]] = []  # unanswered, so far to the end
        self._began = time.monotonic()
        self._journal = Journal(beside(output, ".journal"), known_by)

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()

    def left(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks that the journal does not hold."""
        stream = iter(chunks)
        for entry in self._journal.entries():
            chunk = next(stream, None)
            if chunk is None or chunk.chunk_id != entry["idx"]:
                raise TrainingError(
                    f"{self._journal.file} was begun with other notes: delete it to begin anew"
                )
            self._tally.add(entry)
        self._tell()
        yield from stream

    def take(self, idx: str, outcome: Outcome) -> None:
        """Write an outcome; one that may do better in another try is held back until a next."""
        self._held.append(outcome.entry(idx))
        if not outcome.unanswered:
            self._write_held()
        elif len(self._held) == self._patience:
            raise self._gone()
        self._tell()

    def finish(self, account: Mapping[str, Any]) -> dict[str, Any]:
        """Make the files, the manifest last; then the journal goes."""
        if self._held and not self._tally.chunks:
            raise self._gone()
        self._write_held()
        self._write_examples()
        self._write_failures()
        manifest = {
            **self._known_by,
            "corpus": dict(account),
            **self._tally.record(),
            "sha256": checksum(self._output),
            "python": platform.python_version(),
            "seconds": round(time.monotonic() - self._began, 1),
        }
        with written(beside(self._output, ".manifest.json"), error=TrainingError) as file:
            file.write(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        self._journal.remove()
        return manifest

    def _gone(self) -> TrainingError:
        return TrainingError(
            f"the last {len(self._held)} chunks had no answer ({self._held[-1]['failures'][-1]}). "
            "What is done is kept: put this right and type the command again"
        )

    def _write_held(self) -> None:
        for entry in self._held:
            self._journal.add(entry)
            self._tally.add(entry)
        self._held = []

    def _write_examples(self) -> None:
        with written(self._output, error=TrainingError) as file:
            for entry in self._journal.entries():
                if entry["example"] is not None:
                    file.write(json.dumps(entry["example"], ensure_ascii=False) + "\n")

    def _write_failures(self) -> None:
        place = beside(self._output, ".failures.jsonl")
        place.unlink(missing_ok=True)
        if not self._tally.failures:
            return
        with written(place, error=TrainingError) as file:
            for entry in self._journal.entries():
                for reason in entry["failures"]:
                    line = {"idx": entry["idx"], "reason": reason}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _tell(self) -> None:
        if self._progress:
            self._progress(self._tally)
