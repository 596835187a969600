"""What a comparison of two results says: records only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drehr_rag.eval.comparing.pairing import Part

LEVEL = 0.05
"""Of significance, for all comparisons together; the intervals' confidence is what is left of 1."""


@dataclass(frozen=True)
class Difference:
    """What the second result gained over the first in one part.

    Attributes:
        part: Of what.
        a: Mean of the first result, over items.
        b: Of the second.
        difference: b - a.
        interval: 95 % bootstrap interval of the difference; None for fewer than two queries.
        p: Of the paired randomisation test, alone.
        p_holm: Corrected for all comparisons that were made.
        effect: Cohen's d_z over queries: the mean of the queries' differences by their standard
            deviation (each query's being the mean over its items); None where none varies.
        better: Share of queries that the second does better, by more than rounding.
        worse: Share that it does worse; the others are equal.
        items: How many values each mean is over.
        queries: Query id → its difference.
    """

    part: Part
    a: float
    b: float
    difference: float
    interval: tuple[float, float] | None
    p: float
    p_holm: float
    effect: float | None
    better: float
    worse: float
    items: int
    queries: Mapping[str, float] = field(repr=False)

    @property
    def equal(self) -> float:
        """Share of queries that score the same."""
        return max(0.0, 1 - self.better - self.worse)

    @property
    def significant(self) -> bool:
        """Whether a difference may be concluded, all comparisons considered."""
        return self.p_holm < LEVEL


@dataclass(frozen=True)
class Comparison:
    """All differences between two results, and how they were tested.

    Attributes:
        a: Name of the first result.
        b: Of the second.
        benchmark: Of both.
        differences: In the order of the parts.
        tested: How many comparisons Holm's correction is over: these, and those with others that
            are shown beside them.
        left_out: Cells (setting, match type, measure) that only one of the two results has.
        seed: Of flips and resamples.
        flips: How many of either.
    """

    a: str
    b: str
    benchmark: str
    differences: tuple[Difference, ...]
    tested: int
    left_out: int
    seed: int
    flips: int
