"""Resident memory of this process while something runs, looked at from a thread."""

from threading import Event, Thread
from time import perf_counter
from typing import Any

import psutil

EVERY = 0.2
"""Seconds between two looks."""


class Memory:
    """Samples while its `with` block runs."""

    def __init__(self) -> None:
        """Nothing is sampled yet."""
        self._thread = Thread(target=self._watch, daemon=True)
        self._ended = Event()
        self._process = psutil.Process()
        self._samples: list[tuple[float, int, int]] = []  # seconds, resident, of this own

    def __enter__(self) -> "Memory":
        self._started = perf_counter()
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def facts(self) -> dict[str, Any]:
        """Bytes at the start, after each quarter of the time, and the most there were.

        `own` leaves out pages of mapped files, which the system takes back when it needs them.
        """
        last = self._samples[-1][0]
        marks = [self._at(last * quarter / 4) for quarter in range(5)]
        return {
            "resident": [resident for _, resident, _ in marks],
            "own": [own for _, _, own in marks],
            "peak": max(resident for _, resident, _ in self._samples),
        }

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            self._look()

    def _look(self) -> None:
        held = self._process.memory_info()
        own = held.rss - getattr(held, "shared", 0)
        self._samples.append((perf_counter() - self._started, held.rss, own))

    def _at(self, seconds: float) -> tuple[float, int, int]:
        return min(self._samples, key=lambda sample: abs(sample[0] - seconds))
