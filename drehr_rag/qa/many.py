"""Many questions: the next are prepared while others wait for their replies.

However many there are, only so many have their passages in memory at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from anyio import to_thread

from drehr_rag.qa.under_way import Record

FIRST = 2
"""Questions that are prepared first; then always twice as many, so that a server soon has work."""

WINDOW = 16
"""Questions prepared together: a batch of the encoder's (`encoders._sentence_encoder.BATCH`)."""

TOGETHER = 128
"""The same for a generator that is not awaited: vLLM in this process likes large batches."""

CONCURRENCY = 16
"""Requests under way to a generator that does not say how many it takes (`concurrency`)."""

Prepare = Callable[[Sequence[Record]], None]


async def all_awaited(
    records: Sequence[Record],
    prepare: Prepare,
    ask: Callable[[Record], Awaitable[None]],
    *,
    concurrency: int,
) -> None:
    """Prepare in a thread, ask in the event loop, each question as soon as it is ready.

    Args:
        records: The questions.
        prepare: Of some questions.
        ask: One of them, up to its outcome; what it raises ends all.
        concurrency: Requests under way that the generator takes; a window more is
            kept ready while the one after it is prepared.
    """
    room = asyncio.Semaphore(concurrency + 2 * WINDOW)

    async def one(record: Record) -> None:
        try:
            await ask(record)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            for some in windows(records, WINDOW, first=FIRST):
                for _ in some:
                    await room.acquire()
                await to_thread.run_sync(prepare, some)
                for record in some:
                    group.create_task(one(record))
    except BaseExceptionGroup as several:
        raise _first(several) from None


def _first(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def in_turn(records: Sequence[Record], prepare: Prepare, ask: Prepare) -> None:
    """Prepare the next window in a thread while one is asked in this."""
    with ThreadPoolExecutor(1, "drehr-prepare") as thread:
        coming = ((some, thread.submit(prepare, some)) for some in windows(records, TOGETHER))
        ready = next(coming, None)
        while ready:
            some, prepared = ready
            ready = next(coming, None)  # is being prepared from now on
            prepared.result()
            ask(some)


def windows(
    records: Sequence[Record], most: int, *, first: int | None = None
) -> Iterator[Sequence[Record]]:
    """Parts of at most so many; from a small first one on, each twice as large as that before."""
    start, size = 0, first or most
    while start < len(records):
        yield records[start : start + size]
        start, size = start + size, min(2 * size, most)
