"""Qdrant's strict mode: what a collection's settings refuse, as the server's source has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from qdrant_client import models
from qdrant_refusal import Refused

UPDATES = {"upsert_points", "delete_points", "batch_update", "set_payload", "clear_payload"}
"""Calls whose filters are those of an update."""


class StrictMode:
    """The limits of one collection.

    Args:
        settings: Which limits hold; None is no limit.
        indexes: Its payload indexes.
    """

    def __init__(self, settings: models.StrictModeConfig, indexes: Mapping[str, Any]) -> None:
        self.settings = settings
        self.indexes = {field: str(getattr(s, "type", s).value) for field, s in indexes.items()}

    def check(self, call: str, query: Mapping[str, Any], body: Any) -> None:
        """Refuse what the settings forbid.

        Raises:
            Refused: With 400.
        """
        update = call in UPDATES
        self._limit("timeout", query.get("timeout"), self.settings.max_timeout)
        for part in _parts(body):
            if isinstance(part, models.Filter):
                self._check_filter(part, update=update)
            elif isinstance(part, models.QueryGroupsRequest):
                self._check_group(part.group_by)
            limit = getattr(part, "limit", None)
            if limit is not None:
                self._limit(
                    "limit",
                    limit * (getattr(part, "group_size", None) or 1),
                    self.settings.max_query_limit,
                )
            if getattr(part, "exact", None) and self.settings.search_allow_exact is False:
                self._refuse("Exact search disabled!", "Set exact=false.")
        if isinstance(body, models.PointsList):
            size = len(body.points)
            self._limit("upsert limit", size, self.settings.upsert_max_batchsize)
        if isinstance(body, models.QueryRequestBatch):
            size = len(body.searches)
            self._limit("search batch size", size, self.settings.search_max_batchsize)

    def _check_group(self, field: str) -> None:
        if self.settings.unindexed_filtering_retrieve is not False:
            return
        if self.indexes.get(field) not in {"keyword", "integer", "uuid", "bool"}:
            what = f'Index required but not found for "{field}"'
            self._refuse(what, "Create an index supporting `match` for this key.")

    def _check_filter(self, given: models.Filter, *, update: bool) -> None:
        conditions = list(_conditions(given))
        limit = self.settings.filter_max_conditions
        if limit is not None and len(conditions) > limit:
            what = f"Filter condition limit reached ({len(conditions)} > {limit})"
            self._refuse(what, "Reduce the amount of conditions of your filter.")
        settings = self.settings
        allowed = (
            settings.unindexed_filtering_update if update else settings.unindexed_filtering_retrieve
        )
        for condition in conditions:
            size, most = _size(condition), settings.condition_max_size
            if most is not None and size > most:
                what = f"Condition size limit reached ({size} > {most})"
                self._refuse(what, "Reduce the size of your condition.")
            field, serving = _serving(condition)
            if allowed is False and serving and self.indexes.get(field) not in serving:
                what = f'Index required but not found for "{field}" of one of the following types: '
                kinds = f"[{', '.join(sorted(serving))}]"
                self._refuse(
                    what + kinds, "Create an index for this key or use a different filter."
                )

    def _limit(self, name: str, value: Any, limit: Any) -> None:
        if value is not None and limit is not None and value > limit:
            what = f'Limit exceeded {value} > {limit} for "{name}"'
            self._refuse(what, f'Reduce the "{name}" parameter to or below {limit}.')

    def _refuse(self, what: str, remedy: str) -> None:
        raise Refused(400, f"Bad request: {what}. Help: {remedy}")


def _parts(value: Any) -> Iterator[Any]:
    """The request and every model in it; filters whole, payloads and points not at all."""
    if isinstance(value, models.PointStruct | models.Batch):
        return
    if isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part)
    elif hasattr(type(value), "model_fields"):
        yield value
        if not isinstance(value, models.Filter):
            for name in type(value).model_fields:
                yield from _parts(getattr(value, name))


def _conditions(given: models.Filter) -> Iterator[Any]:
    lists = [given.must, given.must_not, given.should]
    lists.append(given.min_should.conditions if given.min_should else None)
    for some in lists:
        for condition in some if isinstance(some, list) else [some]:
            if isinstance(condition, models.Filter):
                yield from _conditions(condition)
            elif isinstance(condition, models.NestedCondition):
                yield from _conditions(condition.nested.filter)
            elif condition is not None:
                yield condition


ANY = {"keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"}


def _serving(condition: Any) -> tuple[str, set[str]]:
    """The field of a condition, and the kinds of index of which it needs one."""
    if isinstance(condition, models.IsEmptyCondition):
        return condition.is_empty.key, ANY
    if isinstance(condition, models.IsNullCondition):
        return condition.is_null.key, ANY
    if not isinstance(condition, models.FieldCondition):
        return "", set()
    if condition.match is not None:
        return condition.key, _serving_match(condition.match)
    if isinstance(condition.range, models.DatetimeRange):
        return condition.key, {"datetime"}
    if condition.range is not None:
        return condition.key, {"float", "integer"}
    if condition.geo_bounding_box or condition.geo_radius or condition.geo_polygon:
        return condition.key, {"geo"}
    return condition.key, ANY


def _serving_match(match: Any) -> set[str]:
    if isinstance(match, models.MatchValue):
        values = [match.value]
    elif isinstance(match, models.MatchAny):
        values = list(match.any)
    elif isinstance(match, models.MatchExcept):
        values = list(match.except_)
    else:
        return {"text"}
    if not values:  # matches nothing or everything: needs no index
        return set()
    if isinstance(values[0], bool):
        return {"bool"}
    return {"integer"} if isinstance(values[0], int) else {"keyword"}


def _size(condition: Any) -> int:
    match = getattr(condition, "match", None)
    many = getattr(match, "any", None) or getattr(match, "except_", None)
    return len(many) if many is not None else 1
