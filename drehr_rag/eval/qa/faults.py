"""Everything that is wrong with a file, gathered by reason, told at once with counts."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from drehr_rag.errors import DrehrError, EvaluationError

SHOWN = 5
"""Places named for each reason; the rest is counted."""

REASONS = 8
"""Reasons told at once."""


class Faults:
    """Gathers faults, then refuses the file as a whole: half a set would give wrong numbers.

    Args:
        file: What is read, for the message.
        unit: What is counted, in the plural: "lines", "cases".
    """

    def __init__(self, file: object, unit: str) -> None:
        """None yet."""
        self._file, self._unit = file, unit
        self._places: dict[str, list[str]] = defaultdict(list)

    def add(self, reason: str, place: object) -> None:
        """Note one: why, and where (a line, an id; never text)."""
        self._places[reason].append(str(place))

    def refuse(self, total: int, remedy: str) -> None:
        """End here if there is any.

        Args:
            total: How many there are, good and bad.
            remedy: What the user should do.

        Raises:
            EvaluationError: There is at least one; the message counts them by reason.
        """
        if not self._places:
            return
        bad = len({place for places in self._places.values() for place in places})
        reasons = list(self._places.items())
        told = "; ".join(_told(reason, places) for reason, places in reasons[:REASONS])
        more = f"; {len(reasons) - REASONS} more reasons" if len(reasons) > REASONS else ""
        raise EvaluationError(
            f"{self._file}: {bad} of {total} {self._unit} cannot be used: {told}{more}. {remedy}"
        )


def _told(reason: str, places: list[str]) -> str:
    more = f", … {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"{len(places)} × {reason} ({', '.join(places[:SHOWN])}{more})"


def safe(problem: Exception) -> str:
    """Our own messages hold no text of notes; of others only the kind may be shown."""
    return str(problem) if isinstance(problem, DrehrError) else type(problem).__name__


def reason_of(problem: ValidationError) -> str:
    """The first thing that is wrong with a record, without its content."""
    error = problem.errors(include_input=False, include_context=False)[0]
    what = (
        "is missing"
        if error["type"] == "missing"
        else error["msg"].replace("a valid tuple", "a list")
    )
    return f"{_named(error['loc'])} {what.removeprefix('Value error, ')}".strip()


def _named(location: Iterable[Any]) -> str:
    """`evidence.start`: numbers in a list would make a reason of every place."""
    return ".".join(part for part in location if isinstance(part, str) and len(part) <= 40)
