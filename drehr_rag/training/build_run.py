"""One run of a build: passes over what is done, writes what is new, makes the files."""

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag._files import checksum, written
from drehr_rag.errors import TrainingError
from drehr_rag.training.build_files import beside, write_examples, write_failures
from drehr_rag.training.journal import Journal
from drehr_rag.training.outcomes import Outcome, Tally
from drehr_rag.types import Chunk

Progress = Callable[[Tally], object]
"""Called with the sums so far."""


class BuildRun:
    """Use it in a `with` statement: first `left`, then `again`, each outcome to `take`.

    Args:
        output: `NAME.jsonl[.gz]`.
        known_by: What must be the same to go on.
        patience: Chunks in a row without an answer, after which the server is said to be gone.
        progress: Called for every chunk.

    Raises:
        TrainingError: See `Journal`.
    """

    def __init__(
        self, output: Path, known_by: Mapping[str, Any], patience: int, progress: Progress | None
    ) -> None:
        """Open or begin the journal."""
        self._output, self._known_by = output, known_by
        self._patience, self._progress = patience, progress
        self._tally = Tally()
        self._held: list[dict[str, Any]] = []  # since the first without an answer
        self._silent = 0  # how many of them the server did not answer
        self._why = ""
        self._second = False
        self._control = ""
        self._began = time.monotonic()
        self._journal = Journal(beside(output, ".journal"), known_by)

    def __enter__(self) -> "BuildRun":
        """The run."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal; it stays for the run that goes on."""
        self._journal.__exit__()

    def left(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks that the journal does not hold.

        Raises:
            TrainingError: The journal is of other chunks.
        """
        stream = iter(chunks)
        for entry in self._journal.entries():
            if entry.get("second"):
                continue
            chunk = next(stream, None)
            if chunk is None or chunk.chunk_id != entry["idx"]:
                raise TrainingError(
                    f"{self._journal.file} was begun with other notes: delete it to begin anew"
                )
            self._tally.add(entry)
        self._tell()
        yield from stream

    def again(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks that may do better in a second try.

        Between them comes one that did well before: if the server does not answer that one either,
        it is gone; if it does, what has no answer again is the chunk's own fault.

        Raises:
            TrainingError: The last had no answer, and none before gave an example.
        """
        if self._held and not self._tally.examples:
            raise self._gone()
        self._write_held()
        self._second = True
        wanted = {entry["idx"] for entry in self._entries() if entry.get("again")}
        if not wanted:
            return
        well = (one["idx"] for one in self._entries() if one["example"] and not one.get("again"))
        self._control = next(well, "")
        some = {
            c.chunk_id: c for c in chunks if c.chunk_id in wanted or c.chunk_id == self._control
        }
        control = [some.pop(self._control)] if self._control in some else []
        for number, chunk in enumerate(some.values()):
            yield from control if number % self._patience == 0 else ()
            yield chunk
        yield from control

    def take(self, idx: str, outcome: Outcome) -> None:
        """Write an outcome; what follows a chunk without an answer waits for the next answer.

        Raises:
            TrainingError: The server is gone.
        """
        if outcome.answered is False:
            self._why = outcome.failures[-1]
        if self._second:
            self._take_again(idx, outcome)
            return
        self._silent = 0 if outcome.answered else self._silent + (outcome.answered is False)
        self._held.append(outcome.entry(idx))
        if not self._silent:
            self._write_held()
        elif self._silent == self._patience:
            raise self._gone()
        self._tell()

    def _take_again(self, idx: str, outcome: Outcome) -> None:
        if idx == self._control:
            if outcome.answered is False:
                raise self._gone()
        elif not outcome.again:
            self._journal.add({**outcome.entry(idx), "second": True})

    def finish(self, account: Mapping[str, Any], licences: Mapping[str, str]) -> dict[str, Any]:
        """Make the files, the manifest last; then the journal goes."""
        self._tally = Tally()
        for entry in self._entries():
            self._tally.add(entry)
        write_examples(self._output, self._entries())
        write_failures(self._output, self._entries())
        manifest = {
            **self._known_by,
            "licences": dict(licences),
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
        chunks = "chunk" if self._silent < 2 else f"{self._silent} chunks"
        return TrainingError(
            f"the last {chunks} had no answer ({self._why}). "
            "What is done is kept: put this right and type the command again"
        )

    def _entries(self) -> Iterator[dict[str, Any]]:
        """Of each chunk its last, in the chunks' order."""
        second = {entry["idx"]: entry for entry in self._journal.entries() if entry.get("second")}
        for entry in self._journal.entries():
            if not entry.get("second"):
                yield second.get(entry["idx"], entry)

    def _write_held(self) -> None:
        for entry in self._held:
            self._journal.add(entry)
            self._tally.add(entry)
        self._held, self._silent = [], 0

    def _tell(self) -> None:
        if self._progress:
            self._progress(self._tally)
