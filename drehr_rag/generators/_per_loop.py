"""What belongs to one event loop: connections and semaphores cannot be shared between two."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One of a thing for each event loop that asks for it.

    Args:
        make: Makes it, inside the loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """Nothing is made yet."""
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """That of the running loop; what belongs to loops that have ended is let go."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            for other in list(self._made):  # another thread may add its own meanwhile
                if other.is_closed():
                    self._made.pop(other, None)
            self._made[loop] = self._make()
        return self._made[loop]

    def taken(self) -> T | None:
        """That of the running loop, if there is one; the next call of `here` makes another."""
        return self._made.pop(asyncio.get_running_loop(), None)
