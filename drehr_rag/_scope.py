"""Turn a forgotten scope into an error that says what to write."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from drehr_rag.errors import ScopeRequired

P = ParamSpec("P")
R = TypeVar("R")

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
