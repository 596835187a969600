"""LlamaIndex's metadata filters, nested as they may be: they narrow inside the scope, or raise."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from drehr_rag.errors import BadArgument
from drehr_rag.integrations._search import Keep
from drehr_rag.integrations.llama_index._nodes import node_metadata
from drehr_rag.notes.sections import canonical
from drehr_rag.types import Chunk, Filters, as_id

Test = Callable[[Mapping[str, Any]], bool]

IDS = ("patient_id", "encounter_id")
"""Compared as ids: 10000032 and "10000032" are one patient."""

OF_THE_DOCUMENT = ("ref_doc_id", "doc_id", "document_id")
"""What other stores call the id of a node's document; a node's own metadata comes first."""

_LISTS = {FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL}
_TEXTS = {FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE}
_ABSENT = {FilterOperator.NE, FilterOperator.NIN}
"""Met by a node without the key, as in LlamaIndex's own store."""

_COMPARE: dict[FilterOperator, Callable[[Any, Any], bool]] = {
    FilterOperator.EQ: lambda held, value: held == value,
    FilterOperator.NE: lambda held, value: held != value,
    FilterOperator.GT: lambda held, value: held > value,
    FilterOperator.GTE: lambda held, value: held >= value,
    FilterOperator.LT: lambda held, value: held < value,
    FilterOperator.LTE: lambda held, value: held <= value,
    FilterOperator.IN: lambda held, value: held in value,
    FilterOperator.NIN: lambda held, value: held not in value,
    FilterOperator.CONTAINS: lambda held, value: value in held,
    FilterOperator.ANY: lambda held, value: any(one in held for one in value),
    FilterOperator.ALL: lambda held, value: all(one in held for one in value),
    FilterOperator.TEXT_MATCH: lambda held, value: value in held,
    FilterOperator.TEXT_MATCH_INSENSITIVE: lambda held, value: value.lower() in held.lower(),
}


def keep(filters: MetadataFilters | None) -> Keep | None:
    """Whether a chunk meets the filters; None where there are none.

    Raises:
        BadArgument: A group is empty, or a value does not fit its operator.
    """
    if filters is None:
        return None
    test = _group(filters)
    return lambda chunk: test(_seen(chunk))


def known_to_the_store(
    filters: MetadataFilters | None,
    *,
    note_ids: tuple[str, ...] | None = None,
    chunk_ids: tuple[str, ...] | None = None,
) -> Filters:
    """The ids, and the part of the filters that a store has an index for.

    It lets through all that the filters do, or more: only what must hold in any case counts,
    which is equality, at the top, joined by "and". `keep` has checked the filters before.
    """
    ids = Filters(note_ids=note_ids, chunk_ids=chunk_ids)
    if filters is None or filters.condition not in (None, FilterCondition.AND):
        return ids
    narrowed: dict[str, tuple[str, ...]] = {}
    for field, value in _equalities(filters):
        narrowed[field] = tuple(v for v in value if v in narrowed.get(field, value))
    return replace(ids, **narrowed)  # type: ignore[arg-type]


def _equalities(filters: MetadataFilters) -> Iterator[tuple[str, tuple[str, ...]]]:
    form: dict[str, Callable[[Any], str]] = {
        "patient_id": as_id,
        "encounter_id": as_id,
        "note_type": str,
        "section": canonical,
    }
    for leaf in filters.filters:
        if not isinstance(leaf, MetadataFilter) or leaf.key not in form:
            continue
        if leaf.operator is FilterOperator.EQ:
            values: Any = [leaf.value]
        elif leaf.operator is FilterOperator.IN:
            values = leaf.value
        else:
            continue
        if leaf.key in IDS or all(isinstance(v, str) and v.strip() for v in values):
            yield f"{leaf.key}s", tuple(form[leaf.key](v) for v in values)


def _seen(chunk: Chunk) -> dict[str, Any]:
    metadata = node_metadata(chunk)
    for name in OF_THE_DOCUMENT:
        metadata.setdefault(name, chunk.note_id)
    for name in IDS:
        if metadata.get(name) is not None:
            metadata[name] = getattr(chunk, name)
    return metadata


def _group(filters: MetadataFilters) -> Test:
    if not filters.filters:
        raise BadArgument("an empty group of filters says nothing: leave filters out, or fill it")
    tests = [
        _group(part) if isinstance(part, MetadataFilters) else _leaf(part)
        for part in filters.filters
    ]
    if filters.condition is FilterCondition.OR:
        return lambda metadata: any(test(metadata) for test in tests)
    if filters.condition is FilterCondition.NOT:
        return lambda metadata: not any(test(metadata) for test in tests)
    return lambda metadata: all(test(metadata) for test in tests)


def _leaf(leaf: MetadataFilter) -> Test:
    if leaf.operator is FilterOperator.IS_EMPTY:
        return lambda metadata: metadata.get(leaf.key) in (None, "", [])
    _check_value(leaf)
    value: Any = _as_ids(leaf) if leaf.key in IDS else leaf.value
    return partial(_meets, leaf.key, leaf.operator, value)


def _meets(key: str, operator: FilterOperator, value: Any, metadata: Mapping[str, Any]) -> bool:
    held = metadata.get(key)
    if held is None:
        return operator in _ABSENT
    if operator in _TEXTS and not isinstance(held, str):
        raise BadArgument(f"{operator.value} compares text; some {key!r} are none")
    try:
        return bool(_COMPARE[operator](held, value))
    except TypeError:
        raise BadArgument(
            f"{operator.value} cannot compare {type(value).__name__} with the "
            f"{type(held).__name__} that some {key!r} are"
        ) from None


def _check_value(leaf: MetadataFilter) -> None:
    if leaf.operator in _LISTS:
        fits = isinstance(leaf.value, list)
    elif leaf.operator in _TEXTS:
        fits = isinstance(leaf.value, str)
    else:
        fits = leaf.value is not None and not isinstance(leaf.value, list)
    if not fits:
        wanted = "a list" if leaf.operator in _LISTS else "one value"
        raise BadArgument(f"the filter on {leaf.key!r} with {leaf.operator.value} takes {wanted}")


def _as_ids(leaf: MetadataFilter) -> Any:
    values = leaf.value if isinstance(leaf.value, list) else [leaf.value]
    try:
        ids = [as_id(value) for value in values]
    except ValueError as problem:
        raise BadArgument(f"the filter on {leaf.key!r} {problem}") from None
    return ids if isinstance(leaf.value, list) else ids[0]
