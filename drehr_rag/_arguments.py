"""Checks of arguments that several layers share: a forgotten scope, a k that is none."""

from collections.abc import Callable, Iterable
from functools import wraps
from math import inf
from typing import ParamSpec, TypeVar

from drehr_rag.errors import BadArgument, ScopeRequired

P = ParamSpec("P")
R = TypeVar("R")

MOST = 1_000_000
"""Hits of one search: more would not fit in memory."""

HOW = (
    'say whose notes to search: scope=Patient("p1"), Encounter("p1", "e1"), Cohort([...]) '
    'or AllPatients(reason="...")'
)


def needs_scope(method: Callable[P, R]) -> Callable[P, R]:
    """A call of the method without the keyword `scope` raises `ScopeRequired`."""

    @wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if "scope" not in kwargs:
            raise ScopeRequired(HOW)
        return method(*args, **kwargs)

    return checked


def positive(k: object, what: str = "k") -> int:
    """The number, if it is a whole one from 1 up.

    Raises:
        BadArgument: It is not.
    """
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST:
        raise BadArgument(
            f"{what} is how many to return, a whole number from 1 up (at most {MOST:,}), not {k!r}"
        )
    return k


def whole(number: object, what: str, least: int) -> None:
    """Refuse what is no whole number from `least` up.

    Raises:
        BadArgument: It is none.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise BadArgument(f"{what} is a whole number from {least} up, not {number!r}")


def number(value: object, what: str, least: float) -> None:
    """Refuse what is no finite number from `least` up.

    Raises:
        BadArgument: It is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < inf:
        raise BadArgument(f"{what} is a number from {least:g} up, not {value!r}")


def check_list(values: object, what: str) -> None:
    """Refuse one text where a list of them is meant.

    Raises:
        BadArgument: It is no list.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise BadArgument(f"{what} is a list, not {type(values).__name__}")


def check_words(text: object, what: str) -> None:
    """Refuse a query without a word.

    Raises:
        BadArgument: It is no text, holds no letter or digit, or cannot be stored.
    """
    if not isinstance(text, str) or not text.strip():
        raise BadArgument(f"the {what} is empty or is not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadArgument(f"the {what} holds half of a surrogate pair") from None
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable() or c.isspace())
    if not any(character.isalnum() for character in text):
        raise BadArgument(f"the {what} holds no letter or digit")
