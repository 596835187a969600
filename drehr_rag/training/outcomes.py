"""What became of one chunk: an example, or none, with what was counted and what went wrong."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drehr_rag.training.examples import Example


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the work on one chunk.

    Attributes:
        example: None if nothing was found to train on.
        counts: By name, e.g. `{"mentions": 3, "abbreviations refused: one character": 1}`.
        failures: Reasons, of a few kinds so that they can be counted, and never with note text.
        answered: Whether a server that was asked answered anything; None: none was asked. Many
            in a row without an answer stop the build; they are tried again when it goes on.
        again: A server was busy or away, so that a further try, at the build's end, may do better.
    """

    example: Example | None
    counts: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    answered: bool | None = None
    again: bool = False

    def entry(self, idx: str) -> dict[str, Any]:
        """As a line of the journal."""
        example = self.example and self.example.model_dump(exclude_defaults=True)
        counts = {name: count for name, count in self.counts.items() if count}
        entry = {"idx": idx, "example": example, "counts": counts, "failures": self.failures}
        return entry | ({"again": True} if self.again else {})


class Tally:
    """Sums over the chunks so far.

    Attributes:
        chunks: How many were worked on.
        examples: How many of them gave an example.
        counts: What their outcomes counted.
        failures: Chunks by reason.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.chunks = 0
        self.examples = 0
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Count a line of the journal."""
        self.chunks += 1
        self.examples += entry["example"] is not None
        self.counts.update(entry["counts"])
        self.failures.update(set(entry["failures"]))

    def record(self) -> dict[str, Any]:
        """For the manifest; names in order, so that the same sums read the same."""
        return {
            "chunks": self.chunks,
            "examples": self.examples,
            "counts": dict(sorted(self.counts.items())),
            "failures": dict(sorted(self.failures.items())),
        }
