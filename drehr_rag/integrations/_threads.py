"""Work that would block an event loop runs in a few threads of our own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 8
"""Enough to overlap searches with an encoder, which takes one text batch at a time anyway. Not the
loop's own threads: those resolve host names, which must not wait for an encoder."""


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """One a process: threads do not survive a fork."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix=f"drehr-rag-{process}")


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of blocking work, awaited; it sees the caller's context variables.

    Cancelled while it waits for a thread, the work never starts; cancelled later, it comes to its
    end unseen.
    """
    call = partial(copy_context().run, partial(work, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_pool(os.getpid()), call)


def twin(method: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """What awaits a blocking method.

    In the body of a class: `asearch = twin(search)`.
    """

    @wraps(method)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> R:
        own, *rest = args
        return await in_thread(getattr(own, method.__name__), *rest, **kwargs)

    awaited.__name__ = f"a{method.__name__}"
    awaited.__qualname__ = method.__qualname__.removesuffix(method.__name__) + awaited.__name__
    return awaited


async def in_threads(stream: Callable[[], Iterator[R]]) -> AsyncIterator[R]:
    """What a blocking stream yields, one by one, as it is asked for."""
    items, done = await in_thread(stream), object()
    while (item := await in_thread(next, items, done)) is not done:
        yield cast(R, item)


def finish(steps: Generator[None, None, R]) -> R:
    """The result of work that is done step by step."""
    while (end := _step(steps)) is None:
        pass
    return end.value


async def finish_in_thread(steps: Generator[None, None, R]) -> R:
    """The same with each step in a thread; cancelled, it stops after the step it is at."""
    while (end := await in_thread(_step, steps)) is None:
        pass
    return end.value


@dataclass(frozen=True, slots=True)
class _End(Generic[R]):
    value: R


def _step(steps: Generator[None, None, R]) -> _End[R] | None:
    try:
        next(steps)
    except StopIteration as end:
        return _End(end.value)
    return None
