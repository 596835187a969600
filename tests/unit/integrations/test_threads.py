"""Blocking work leaves the event loop free."""

import asyncio
import contextvars
import threading

import pytest

from drehr_rag.integrations._threads import THREADS, in_thread, twin


class Door:
    """Work that waits until somebody opens."""

    def __init__(self):
        self.opened, self.entered, self.left = threading.Event(), threading.Event(), 0

    def wait(self, number=1):
        self.entered.set()
        if not self.opened.wait(10):
            raise TimeoutError
        self.left += 1
        return number

    await_ = twin(wait)


async def test_other_tasks_go_on_meanwhile():
    door = Door()
    waiting = asyncio.create_task(door.await_(number=7))
    await in_thread(door.entered.wait, 10)
    assert not waiting.done()
    door.opened.set()
    assert await waiting == 7


async def test_there_are_only_so_many_threads():
    door = Door()
    tasks = [asyncio.create_task(door.await_()) for _ in range(3 * THREADS)]
    await asyncio.sleep(0.2)
    running = [t for t in threading.enumerate() if t.name.startswith("drehr-rag")]
    assert len(running) <= THREADS
    door.opened.set()
    assert len(await asyncio.gather(*tasks)) == 3 * THREADS == door.left


async def test_cancelled_before_it_starts_it_never_runs():
    door = Door()
    busy = [asyncio.create_task(door.await_()) for _ in range(THREADS)]
    late = asyncio.create_task(door.await_())
    await asyncio.sleep(0.1)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    door.opened.set()
    await asyncio.gather(*busy)
    assert door.left == THREADS


async def test_errors_and_context_come_through():
    who = contextvars.ContextVar("who", default="nobody")
    who.set("me")
    assert await in_thread(who.get) == "me"
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


async def test_a_subclass_that_changes_the_method_changes_its_twin():
    class Open(Door):
        def wait(self, number=1):
            return -number

    assert await Open().await_(number=3) == -3
