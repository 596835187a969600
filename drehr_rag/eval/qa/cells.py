"""What the cells of a table of questions mean."""

from collections.abc import Mapping
from typing import Any

PLAIN = ("question_id", "patient_id", "question", "split", "kind")
NEEDED = ("question_id", "patient_id", "question")
PLACE = ("note_id", "start", "end", "relevance", "quote")
FIELDS = (*PLAIN, "entities", "answers", *PLACE)

SEPARATOR = "||"
"""Between acceptable answers in one cell."""

NOT_TOLD = "[]"
"""In the answers' cell: the notes do not tell. An empty cell says that nobody wrote one down."""


class RowFault(ValueError):
    """Why one row cannot be used."""


def answers_of(cell: str) -> list[str] | None:
    """The acceptable answers; None for an empty cell."""
    if cell == NOT_TOLD:
        return []
    return [answer.strip() for answer in cell.split(SEPARATOR)] if cell else None


def whole_number(cell: str, what: str) -> int | None:
    """The number; None for an empty cell."""
    if cell and not cell.isdecimal():
        raise RowFault(f"{what} is no whole number")
    return int(cell) if cell else None


def evidence_of(cells: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, Any] | None:
    """The piece of evidence in a row, if it gives one."""
    given = {field: cells[field] for field in PLACE if cells[field]}
    if not given:
        return None
    if "note_id" not in given:
        raise RowFault("evidence without note_id")
    if "start" in given or "end" in given:
        places = {name: whole_number(cells[name], name) for name in ("start", "end")}
        return {**given, **places}
    return {**given, **_place(given.get("quote", ""), texts.get(given["note_id"]))}


def _place(quote: str, text: str | None) -> dict[str, int]:
    if not quote:
        raise RowFault("evidence without start and end, and without a quote")
    if text is None:
        raise RowFault("a quote of a note that is not among the notes: give them with --notes")
    if text.count(quote) != 1:
        raise RowFault("a quote that does not stand exactly once in its note")
    start = text.index(quote)
    return {"start": start, "end": start + len(quote)}
