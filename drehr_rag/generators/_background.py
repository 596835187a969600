"""An event loop in a thread of its own, through which synchronous callers use asynchronous code."""

import os
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar
from weakref import finalize

from anyio.from_thread import BlockingPortal, start_blocking_portal

from drehr_rag.errors import GeneratorError

P = ParamSpec("P")
T = TypeVar("T")


class Background:
    """The loop of this process: started by the first call, one for all threads.

    A forked process, where the thread is missing, starts its own.

    Args:
        last: Awaited in the loop before it ends.
    """

    def __init__(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """No thread is started yet."""
        last = last or _nothing
        self._last = last
        self._loops: dict[int, _Loop] = {}
        # Where it is forgotten, its thread ends all the same. Not at exit: it is a daemon then.
        finalize(self, _forget, self._loops, last).atexit = False

    def call(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work returns; if waiting for it is interrupted, it is cancelled."""
        return self._loops.setdefault(os.getpid(), _Loop()).call(lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Cancel what is under way, and end the thread; the next call starts another."""
        if loop := self._loops.pop(os.getpid(), None):
            loop.close(self._last)


class _Loop:
    """The thread with its loop, and the calls that are under way in it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread = ExitStack()
        self._portal: BlockingPortal | None = None
        self._calls: set[Future[Any]] = set()

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        call = self._started(work)
        try:
            return call.result()
        except CancelledError:
            raise GeneratorError("the generator was closed while it was asked") from None
        finally:
            call.cancel()  # does nothing to one that is done
            self._calls.discard(call)
            del call  # its error would hold this frame, and so itself

    def _started(self, work: Callable[[], Awaitable[T]]) -> "Future[T]":
        with self._lock:
            if self._portal is None:
                self._portal = self._thread.enter_context(start_blocking_portal())
            call = self._portal.start_task_soon(work)
            self._calls.add(call)
            return call

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        with self._lock:
            portal, self._portal = self._portal, None
            calls = list(self._calls)
        if portal is None:
            return
        for call in calls:
            call.cancel()
        wait(calls)
        portal.call(last)
        self._thread.close()


async def _nothing() -> None:
    """There is nothing to close."""


def _forget(loops: dict[int, _Loop], last: Callable[[], Awaitable[None]]) -> None:
    """In another thread: garbage may be collected in the very one that is to end."""
    if loop := loops.pop(os.getpid(), None):
        Thread(target=loop.close, args=(last,), daemon=True).start()
