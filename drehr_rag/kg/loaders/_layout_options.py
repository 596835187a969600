"""The layout of a table, from its header and what the user says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.kg.loaders._layouts import LAYOUTS, Layout


def layout_of(header: Sequence[str], options: Mapping[str, str]) -> Layout | None:
    """The layout of a table with this header, the options put over it; None for an unknown one.

    Raises:
        UnknownName: An option, a layout or a column that does not exist.
    """
    given = dict(options)
    typed = _typed({k: v for k, v in given.items() if k != "layout"})
    name = given.pop("layout", None)
    if name is not None and name not in LAYOUTS:
        raise UnknownName(f"no layout is called {name!r}: there are {', '.join(LAYOUTS)}")
    known = [o for c, o in LAYOUTS.values() if set(c) <= set(header)] if name is None else []
    base = LAYOUTS[name][1] if name else next(iter(known), None)
    if "id" in given:
        base = base if name else Layout(given["id"])
    if base is None:
        return None
    return _checked(replace(base, **typed), header)


def _typed(given: Mapping[str, str]) -> dict[str, Any]:
    texts = {f.name for f in fields(Layout)} - {"relations", "others", "skip"}
    if unknown := set(given) - texts - {"skip"}:
        names = ", ".join(sorted(texts | {"layout", "skip"}))
        raise UnknownName(f"a table has no option {sorted(unknown)[0]!r}: there are {names}")
    typed: dict[str, Any] = {k: v for k, v in given.items() if k != "skip"}
    if "skip" in given:
        if not given["skip"].isdigit():
            raise BadArgument(f"skip is a number of rows, not {given['skip']!r}")
        typed["skip"] = int(given["skip"])
    return typed


def _checked(layout: Layout, header: Sequence[str]) -> Layout:
    asked = [
        layout.id,
        layout.term,
        layout.tree,
        layout.parent,
        layout.object,
        layout.kind,
        *layout.synonyms.split(","),
    ]
    for column in asked:
        if column and column not in header:
            raise UnknownName(f"no column is called {column!r}: there are {', '.join(header)}")
    return layout
