"""SIGTERM ends a command as Ctrl-C does, so that its temporary files of notes are removed."""

import signal
from contextlib import suppress

AGAIN = 0.05
"""Seconds after which it is told to end once more, if somebody has swallowed that. By judgement."""


class Ended(SystemExit):
    """On its way out; raised anew if it is lost before `heard`.

    A signal comes wherever the command is at that moment: in some library's bare `except`, too, or
    where Python ignores errors, and one that `timeout` or `docker stop` has sent is not sent again.
    """

    heard = False

    def __del__(self) -> None:
        """Nobody holds it any more: it is out, or was swallowed."""
        if not self.heard and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)


def listen() -> None:
    """From now on SIGTERM raises `Ended`; outside the main thread there are no signals."""
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: object) -> None:
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _end)
    raise Ended(128 + signal.SIGTERM)
