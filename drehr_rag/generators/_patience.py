"""How long a reply is waited for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic


class Patience:
    """A bound on all waiting for one reply, and on each wait once it has begun to come.

    The time that the reader of a stream takes for itself is not counted.

    Args:
        whole: Seconds in all.
        stall: Seconds from one piece to the next.
    """

    def __init__(self, whole: float, stall: float) -> None:
        """The reply has not begun."""
        self._whole, self._left, self._stall = whole, whole, stall
        self.begun = False

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Bounds what is awaited inside.

        Raises:
            TimeoutError: It took too long; its words go on from "the server …".
        """
        start = monotonic()
        stall = self.begun and self._stall < self._left
        try:
            async with asyncio.timeout(self._stall if stall else self._left):
                yield
        except TimeoutError:
            what = f"stops for {self._stall:g} s in its reply" if stall else None
            raise TimeoutError(what or f"does not answer within {self._whole:g} s") from None
        self._left -= monotonic() - start
