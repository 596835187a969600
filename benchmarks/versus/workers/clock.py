"""Time, processor time and memory of a run."""

from time import perf_counter, process_time
from typing import Any

from benchmarks.versus.workers.memory import Memory


class Clock:
    """Runs while its `with` block does.

    Attributes:
        seconds: Of the block.
        cpu_seconds: Of all this process's threads meanwhile.
    """

    def __enter__(self) -> "Clock":
        self._memory = Memory()
        self._memory.__enter__()
        self._started, self._cpu = perf_counter(), process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu_seconds = self.so_far(), process_time() - self._cpu
        self._memory.__exit__()

    def so_far(self) -> float:
        """Seconds since the block began."""
        return perf_counter() - self._started

    def facts(self) -> dict[str, Any]:
        """What was measured."""
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "memory": self._memory.facts(),
        }
