"""Precision, recall and F1 from counts: what was cited against what is right."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """Counts of things (characters, sentences) cited, right, and both.

    A share of nothing is None, never 0 or 1.
    """

    shared: int
    cited: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of what was cited that is right."""
        return self.shared / self.cited if self.cited else None

    @property
    def recall(self) -> float | None:
        """Share of what is right that was cited."""
        return self.shared / self.right if self.right else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both."""
        total = self.cited + self.right
        return 2 * self.shared / total if total else None


def micro(cases: Sequence[Agreement]) -> Agreement:
    """All counts added up: a case weighs as much as it has to cite."""
    return Agreement(
        sum(c.shared for c in cases), sum(c.cited for c in cases), sum(c.right for c in cases)
    )


def macro(values: Sequence[float | None]) -> float | None:
    """Mean over cases; a case that has no value counts 0, as in ArchEHR-QA's scorer."""
    return sum(value or 0.0 for value in values) / len(values) if values else None


def figures(cases: Sequence[Agreement]) -> dict[str, float | None]:
    """Micro and macro precision, recall and F1."""
    total = micro(cases)
    return {
        "precision": total.precision,
        "recall": total.recall,
        "f1": total.f1,
        "macro_precision": macro([c.precision for c in cases]),
        "macro_recall": macro([c.recall for c in cases]),
        "macro_f1": macro([c.f1 for c in cases]),
    }
