"""How long to wait before a request is sent again."""

import random

FIRST = 0.5
"""Seconds before the second try; doubled with each further one."""

LONGEST = 30.0
"""Seconds that are waited at most, whatever a server asks for."""


def pause(attempt: int, asked: float | None = None) -> float:
    """Seconds to wait after a failed try.

    Half as much again at random, so that many clients do not come back at the same moment.

    Args:
        attempt: 0 after the first try.
        asked: What the server asked for (`Retry-After`), if that is any time at all.
    """
    own = FIRST * 2.0 ** min(attempt, 16) * (1 + random.random() / 2)
    return min(asked or own, LONGEST)
