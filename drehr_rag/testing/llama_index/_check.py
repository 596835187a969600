"""What the suites share: a check, and a wait that ends."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

PATIENCE = 20.0
"""Seconds until a wait counts as an event loop that stands still."""


def check(holds: bool, otherwise: str) -> None:
    """Raise an AssertionError that says what is wrong, unless it holds."""
    if not holds:
        raise AssertionError(otherwise)


def refuses(call: Callable[[], Any], what: str) -> None:
    """The call raises, whatever it raises."""
    try:
        call()
    except Exception:
        return
    raise AssertionError(f"{what} was accepted")


def wait_for(event: Event) -> None:
    """Block the thread until the event; called on an event loop that must set it, it never comes.

    Raises:
        AssertionError: It did not come.
    """
    check(event.wait(PATIENCE), "the event loop stood still: an async method blocks it")


def run_beside(call: Callable[[], Awaitable[Any]], event: Event) -> Any:
    """The result of a call that waits for an event which another task of its loop sets."""

    async def elsewhere() -> None:
        await asyncio.sleep(0.01)
        event.set()

    async def both() -> Any:
        return (await asyncio.gather(call(), elsewhere()))[0]

    return asyncio.run(both())
