"""Answering less and being right more: the curve of coverage against accuracy, and its area.

The risk-coverage curve is that of Geifman and El-Yaniv, "Selective Classification for Deep Neural
Networks" (NIPS 2017); its area, the mean risk over all coverages 1/n, 2/n, … 1, is AURC as in
Geifman, Uziel and El-Yaniv, "Bias-Reduced Uncertainty Estimation" (ICLR 2019).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf


@dataclass(frozen=True, slots=True)
class Graded:
    """One question as asked.

    Attributes:
        loss: 0 if the answer is right, 1 if wrong, or between.
        answered: False if it abstained.
        confidence: The higher the surer; one for all if the chain has none.
    """

    loss: float
    answered: bool
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """If only answers of at least this confidence are given."""

    confidence: float
    coverage: float
    accuracy: float


def curve(graded: Sequence[Graded]) -> list[Point]:
    """A point for each confidence that was reached, the surest first; only real answers."""
    points, given, losses = [], 0, 0.0
    for rank, group in _ranked(g for g in graded if g.answered):
        given, losses = given + len(group), losses + sum(group)
        points.append(Point(rank, given / len(graded), 1 - losses / given))
    return points


def aurc(graded: Sequence[Graded]) -> float | None:
    """Area under the risk-coverage curve; 0 is perfect, None for no question.

    Who abstained comes last and counts as wrong if it had to answer. Among equal confidences the
    order is open: the mean over all orders is taken, so a chain without confidence gets no luck.
    """
    area, given, losses = 0.0, 0, 0.0
    for _, group in _ranked(graded):
        mean = sum(group) / len(group)
        area += sum((losses + n * mean) / (given + n) for n in range(1, len(group) + 1))
        given, losses = given + len(group), losses + sum(group)
    return area / given if given else None


def _ranked(graded: Iterable[Graded]) -> list[tuple[float, list[float]]]:
    """Confidences from high to low, each with its losses."""
    pairs = [(g.confidence, g.loss) if g.answered else (-inf, 1.0) for g in graded]
    pairs.sort(key=lambda pair: -pair[0])
    return [(rank, [loss for _, loss in group]) for rank, group in groupby(pairs, lambda p: p[0])]
