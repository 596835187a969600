"""What a retriever is given for good is looked at when it is made, not at its first query."""

from typing import TypeVar, get_args

from drehr_rag._arguments import positive
from drehr_rag._registry import find
from drehr_rag.index import Names, When, named_filters
from drehr_rag.retrievers._asserted import checked_assertion
from drehr_rag.types import AssertionMode, SearchMode

M = TypeVar("M", bound=str)


def checked_mode(mode: M) -> M:
    """The mode, if there is such a retriever; it is not loaded, and neither is an encoder.

    Raises:
        UnknownName: There is none.
    """
    if mode not in get_args(
        SearchMode
    ):  # a third party's, or none: those are looked for, which takes time
        find("drehr_rag.retrievers", mode)
    return mode


def check_options(
    *,
    k: int,
    mode: SearchMode,
    assertion: AssertionMode = "ranked",
    note_type: Names = None,
    section: Names = None,
    since: When = None,
    until: When = None,
    name_of_k: str = "k",
) -> None:
    """Refuse options with which every search would fail.

    Raises:
        UnknownName: No such mode.
        BadArgument: A number, name or time that is none.
    """
    positive(k, name_of_k)
    checked_mode(mode)
    checked_assertion(assertion)
    named_filters(note_type, section, since, until)
