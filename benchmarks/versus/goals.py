"""What was aimed at, what was measured, and whether that reaches it."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.tables import Table


@dataclass(frozen=True)
class Goal:
    """One line of the table.

    Attributes:
        text: What is measured.
        wanted: The bound, in words.
        measured: The figure, in words.
        reached: None where it could not be measured; `measured` then says why.
    """

    text: str
    wanted: str
    measured: str
    reached: bool | None


def at_least(text: str, bound: float, value: float, *, unequal: str = "") -> Goal:
    """A ratio that should be large."""
    return _ratio(text, f"≥ {bound:g} ×", value, value >= bound, unequal)


def at_most(text: str, bound: float, value: float, *, unequal: str = "") -> Goal:
    """A ratio that should be small."""
    return _ratio(text, f"≤ {bound:g} ×", value, value <= bound, unequal)


def below(text: str, bound: float, value: float, unit: str) -> Goal:
    """A figure that should be small."""
    return Goal(text, f"< {bound:g} {unit}", f"{value:.2f} {unit}", value < bound)


def not_measured(text: str, why: str) -> Goal:
    """A goal that says nothing this time."""
    return Goal(text, "", why, None)


def _ratio(text: str, wanted: str, value: float, good: bool, unequal: str) -> Goal:
    if unequal:
        return Goal(text, wanted, f"{value:.2f} ×, not comparable: {unequal}", None)
    return Goal(text, wanted, f"{value:.2f} ×", good)


def table(title: str, goals: Sequence[Goal]) -> Table:
    """Every goal with its verdict."""
    made = Table(title, ("goal", "wanted", "measured", "verdict"), left=2)
    words = {True: "reached", False: "MISSED", None: "no verdict"}
    for goal in goals:
        made.add(goal.text, goal.wanted, goal.measured, words[goal.reached])
    return made
