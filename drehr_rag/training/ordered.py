"""Work on a stream of chunks, here, in processes or concurrently; results in the stream's order.

Few chunks are held at a time, however long the stream.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import connection, parent_process

from drehr_rag.errors import TrainingError
from drehr_rag.training.outcomes import Outcome
from drehr_rag.types import Chunk

BATCH = 16
"""Chunks that a process takes at a time."""

WINDOW = 4
"""Chunks begun, as a multiple of those worked on at a time: a slow one must not stop the others."""

Work = Callable[[Chunk], Outcome]
AsyncWork = Callable[[Chunk], Awaitable[Outcome]]
Done = tuple[str, Outcome]


def in_order(work: Work, chunks: Iterator[Chunk], *, workers: int) -> Generator[Done, None, None]:
    """Each chunk's id and outcome.

    Args:
        work: What is done; with several workers, each process has a copy of it.
        chunks: Read as far as is needed.
        workers: 1: this process.

    Raises:
        TrainingError: A process died.
    """
    if workers == 1:
        yield from ((chunk.chunk_id, work(chunk)) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start, initargs=(work,))
    try:
        yield from _through(pool, _batches(chunks), 2 * workers)
    except BrokenProcessPool:
        raise TrainingError(
            "a worker process died, perhaps for want of memory: what is done is kept; type the "
            "command again, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


async def concurrently(
    work: AsyncWork, chunks: Iterable[Chunk], *, concurrency: int
) -> AsyncGenerator[Done, None]:
    """Each chunk's id and outcome; at most `concurrency` are worked on at a time."""
    gate = asyncio.Semaphore(concurrency)

    async def one(chunk: Chunk) -> Outcome:
        async with gate:
            return await work(chunk)

    running: deque[tuple[str, asyncio.Task[Outcome]]] = deque()
    try:
        for chunk in chunks:
            running.append((chunk.chunk_id, asyncio.create_task(one(chunk))))
            if len(running) >= WINDOW * concurrency:
                yield running[0][0], await running[0][1]
                running.popleft()
        while running:
            yield running[0][0], await running[0][1]
            running.popleft()
    finally:
        for _, task in running:
            task.cancel()
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)


def _through(
    pool: ProcessPoolExecutor, batches: Iterator[list[Chunk]], window: int
) -> Iterator[Done]:
    running = deque(pool.submit(_work, batch) for batch in islice(batches, window))
    while running:
        done = running.popleft().result()
        running.extend(pool.submit(_work, batch) for batch in islice(batches, 1))
        yield from done


def _batches(chunks: Iterator[Chunk]) -> Iterator[list[Chunk]]:
    while batch := list(islice(chunks, BATCH)):
        yield batch


_own: list[Work] = []  # of a worker process


def _start(work: Work) -> None:
    _own[:] = [work]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, and they would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _work(chunks: list[Chunk]) -> list[Done]:
    if not _own:
        raise TrainingError("a worker process was not started with its work")
    return [(chunk.chunk_id, _own[0](chunk)) for chunk in chunks]
