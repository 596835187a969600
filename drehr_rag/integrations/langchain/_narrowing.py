"""The options of a LangChain search: a store's own, and those that its retriever is given."""

import inspect
from collections.abc import Mapping
from typing import Any

from drehr_rag._arguments import positive
from drehr_rag.errors import BadArgument
from drehr_rag.index import Names, When, named_filters
from drehr_rag.retrievers._asserted import checked_assertion
from drehr_rag.types import Filters

_OWN = {
    "similarity": {"k", "assertion"},
    "similarity_score_threshold": {"k", "score_threshold", "assertion"},
    "mmr": {"k", "fetch_k", "lambda_mult"},
}
"""What each of LangChain's ways to search takes beside scope and filters."""


def filters_of(
    *, note_type: Names = None, section: Names = None, since: When = None, until: When = None
) -> Filters:
    """Which notes."""
    return named_filters(note_type, section, since, until)


def check_known(filters: Mapping[str, Any]) -> None:
    """Refuse names that no search takes.

    Raises:
        TypeError: There is one.
    """
    for name in filters.keys() - inspect.signature(filters_of).parameters.keys():
        raise TypeError(
            f"a search takes no {name!r}: whose notes is scope=Patient(...), which notes is "
            "note_type=, section=, since= or until=; the mode is the store's own"
        )


def check_share(lambda_mult: Any) -> None:
    """Refuse what is no share.

    Raises:
        BadArgument: It is none.
    """
    if not isinstance(lambda_mult, int | float) or not 0 <= lambda_mult <= 1:
        raise BadArgument(f"lambda_mult is from 0 to 1, not {lambda_mult!r}")


def check_search(search_type: str, options: Mapping[str, Any]) -> None:
    """Refuse `search_kwargs` with which every search of this type would fail.

    Raises:
        TypeError: One has a name that it does not take.
        BadArgument: One cannot be meant.
    """
    own = _OWN[search_type]
    filters = {name: value for name, value in options.items() if name not in own | {"scope"}}
    check_known(filters)
    filters_of(**filters)
    for name in sorted({"k", "fetch_k"} & own & options.keys()):
        positive(options[name], name)
    if "assertion" in own & options.keys():
        checked_assertion(options["assertion"])
    if "lambda_mult" in own & options.keys():
        check_share(options["lambda_mult"])
