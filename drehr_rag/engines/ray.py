"""Many workers, on this machine or a cluster: Ray Data reads, Ray's actors split and encode.

```text
sources ─→ Ray Data: each source whole, on any worker, in order
              ↓ notes
           the driver decides (indexing.py), as for every engine
              ↓ blocks of accepted notes
           actors, each with an encoder of its own: split, encode ─→ Qdrant server
              ↓ chunks and vectors
           the driver writes the embedded store
```

The actors are not Ray Data's: it has no source that a deciding driver can feed, and each of its
runs would load every encoder anew.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from drehr_rag.engines._ray_session import import_ray, start
from drehr_rag.engines._ray_worker import Recipe, Worker, notes_of, read_source
from drehr_rag.errors import BadArgument, DrehrError, EngineError
from drehr_rag.notes.readers import Fields
from drehr_rag.protocols import Accepted, Encoded, NoteStream, Parts
from drehr_rag.stores import Access, kind_of

logger = logging.getLogger(__name__)

AHEAD = 2
"""Blocks a worker has: one that it encodes and one that waits, so that it never idles."""

RETRIES = 3
"""Times that a block is tried again after its worker died, before the block is to blame."""

PATIENCE = 60
"""Seconds without any worker after which the log says what they wait for."""

READ_BYTES = 4 * 2**20
"""Notes are handed on in such portions; Ray Data's own 128 MiB would fill a small store."""


def load(*, workers: int = 2, gpus_per_worker: float = 0) -> "RayEngine":
    """The engine; Ray is started, or joined at `RAY_ADDRESS`, when there is something to do.

    Args:
        workers: Processes that split and encode, each with an encoder of its own.
        gpus_per_worker: GPUs of each; a fraction shares one, and 0 is the processor alone.

    Raises:
        MissingExtra: Ray is not installed.
        BadArgument: No worker, or less than no GPU.
    """
    if workers < 1:
        raise BadArgument(f"workers is 1 or more, not {workers!r}")
    if not gpus_per_worker >= 0:
        raise BadArgument(f"gpus_per_worker is 0 or more, not {gpus_per_worker!r}")
    return RayEngine(import_ray(), workers=workers, gpus_per_worker=gpus_per_worker)


class RayEngine:
    """Reads and encodes on Ray. Close it, so that what it started ends.

    A worker that dies is started again and its blocks are encoded again. After the driver dies,
    the same command goes on: the store itself says what is left to do.

    Args:
        ray: The module.
        workers: How many encode.
        gpus_per_worker: GPUs of each.
    """

    def __init__(self, ray: Any, *, workers: int, gpus_per_worker: float) -> None:
        """Nothing is started."""
        self._ray = ray
        self._count = workers
        self._gpus = gpus_per_worker
        joined = ray.is_initialized() or os.environ.get("RAY_ADDRESS")
        self._cpus = 1 if joined else max(1, (os.cpu_count() or 1) // workers)
        self._end: Callable[[], None] | None = None
        self._workers: list[Any] = []
        self._recipe: Recipe | None = None

    def read(
        self, sources: Sequence[Path], *, format: str | None = None, fields: Fields | None = None
    ) -> Iterator[tuple[Path, NoteStream]]:
        """Each source with its notes; some sources are read ahead by other processes."""
        self._start()
        items = [{"number": i, "path": str(path)} for i, path in enumerate(sources)]
        here = {"folder": str(Path.cwd()), "format": format, "fields": fields}
        data = self._ray.data.from_items(items, override_num_blocks=len(items)).flat_map(
            read_source,
            fn_kwargs=here,
            num_cpus=0,  # else it would wait for ever where the workers have every processor
            compute=self._ray.data.TaskPoolStrategy(size=min(self._count, len(items))),
        )
        data.context.target_max_block_size = READ_BYTES
        data.context.execution_options.preserve_order = True
        data.context.enable_progress_bars = False
        data.context.print_on_execution_start = False
        for number, rows in groupby(data.iter_rows(), key=itemgetter("number")):
            yield sources[number], notes_of(rows)

    def encode(self, blocks: Iterable[Sequence[Accepted]], parts: Parts) -> Iterator[Encoded]:
        """What became of each block, the first finished first.

        Raises:
            BadArgument: The encoder cannot be loaded by its name.
            EncoderMismatch: By its name, a worker loads another.
            EngineError: Workers keep dying.
        """
        blocks = iter(blocks)
        block = next(blocks, None)
        if block is None:  # nothing is new: no worker need load an encoder
            return
        starting = {worker.ready.remote(): worker for worker in self._hire(parts)}
        free, busy = deque[Any](), dict[Any, Any]()
        while block or busy:
            while block and free:
                worker = free.popleft()
                busy[worker.encode.remote(block)] = worker
                block = next(blocks, None)
            ref = self._first_of(busy, starting)
            result = self._result(ref)
            if ref in starting:
                free.extend([starting.pop(ref)] * AHEAD)
            else:
                free.append(busy.pop(ref))
                encoded, heard = result
                for said in heard:
                    said.again()
                yield encoded

    def close(self) -> None:
        """Let the workers go; end Ray if it was started here."""
        self._dismiss()
        if self._end:
            self._end()
            self._end = None

    def _dismiss(self) -> None:
        workers, self._workers, self._recipe = self._workers, [], None
        if self._ray.is_initialized():
            for worker in workers:
                self._ray.kill(worker)

    def _start(self) -> None:
        if self._end is None:
            gpus, cpus = self._gpus * self._count, self._cpus * self._count
            self._end = start(self._ray, cpus=cpus, gpus=gpus, workers=self._count)

    def _hire(self, parts: Parts) -> list[Any]:
        """The workers, those of the source before if they are of use."""
        options = {k: v for k, v in parts.encoder_options.items() if k != "device"}  # Ray's choice
        recipe = Recipe(
            encoder=(parts.encoder.name, options),
            fingerprint=parts.encoder.fingerprint,
            chunker=(parts.chunker_name, parts.chunker_options),
            server=_server(parts),
            gpu=self._gpus > 0,
        )
        if recipe != self._recipe:
            self._start()
            self._dismiss()
            made = self._ray.remote(
                num_cpus=self._cpus,
                num_gpus=self._gpus,
                max_restarts=-1,
                max_task_retries=RETRIES,
            )(Worker)
            self._workers = [made.remote(recipe) for _ in range(self._count)]
            self._recipe = recipe
        return self._workers

    def _first_of(self, busy: Iterable[Any], starting: Iterable[Any]) -> Any:
        refs = [*busy, *starting]
        while not (done := self._ray.wait(refs, num_returns=1, timeout=PATIENCE)[0]):
            if not busy:
                logger.warning(
                    "no worker has started yet: each asks for %d processors and %g GPUs, and the "
                    "cluster has %s, some of them in use",
                    self._cpus,
                    self._gpus,
                    self._ray.cluster_resources(),
                )
        return done[0]

    def _result(self, ref: Any) -> Any:
        """What the worker gave back; its own errors come through as themselves."""
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as problem:
            if isinstance(problem.cause, DrehrError):
                raise problem.cause from None
            raise
        except self._ray.exceptions.RayError as problem:
            raise EngineError(
                f"a worker died {RETRIES + 1} times over one block ({type(problem).__name__}): is "
                "its memory too small? What was written is kept; the same command goes on there"
            ) from problem


def _server(parts: Parts) -> tuple[str, Access] | None:
    """The server that workers write to, with this process's key: they need not have it set."""
    if kind_of(parts.location) != "server":
        return None
    access: Access = parts.access or Access()
    key = os.environ.get("QDRANT_API_KEY")
    return parts.location, access if access.api_key or not key else access.but(api_key=key)
