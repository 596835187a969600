"""Groups as a Qdrant server forms them, which is not always all of them.

`:memory:` ranks every point and groups that. A server asks itself for `limit * group_size` points
at most five times for new groups, leaving out those that are full, and at most five times more to
fill the best ones (Qdrant's source, `lib/collection/src/grouping/group_by.rs`, facts only). What it
returns is right, but where a few groups hold most of the best points there can be fewer groups, or
fewer hits in a group, than were asked for and exist. Done here: groups by a field with one value or
a list of them, best score first (cosine, dot product). Not done: `with_lookup`, prefetches.
"""

from collections.abc import Callable
from typing import Any

from qdrant_client import models

ROUNDS = 5
"""Requests for new groups, and again for filling them."""

Find = Callable[[models.Filter, int], list[Any]]
"""Points under further conditions, at most so many, best first."""


def grouped(find: Find, field: str, *, limit: int, size: int) -> list[models.PointGroup]:
    """The best groups that ten requests find.

    Args:
        find: Points with their payloads.
        field: What to group by.
        limit: At most so many groups.
        size: At most so many points in each.
    """
    groups: dict[Any, dict[Any, Any]] = {}
    for conditions in (_new_groups, _unfilled_groups):
        for _ in range(ROUNDS):
            points = find(conditions(groups, field, limit, size), limit * size)
            for point in points:
                for value in _values(point.payload.get(field)):
                    groups.setdefault(value, {})[point.id] = point
            best = _best(groups, limit)
            if sum(len(groups[value]) >= size for value in best) >= limit:
                return _made(groups, limit, size)
            if not points:
                break
    return _made(groups, limit, size)


def _new_groups(groups: dict[Any, Any], field: str, limit: int, size: int) -> models.Filter:
    full = [value for value, points in groups.items() if len(points) >= size]
    return _filter(field, groups, must=_match(field, full, models.MatchExcept, "except"))


def _unfilled_groups(groups: dict[Any, Any], field: str, limit: int, size: int) -> models.Filter:
    unfilled = [value for value in _best(groups, limit) if len(groups[value]) < size]
    return _filter(field, groups, must=_match(field, unfilled, models.MatchAny, "any"))


def _filter(field: str, groups: dict[Any, Any], *, must: list[Any]) -> models.Filter:
    """These conditions; and the field is there, and the point is new."""
    seen = [point for points in groups.values() for point in points]
    empty = models.IsEmptyCondition(is_empty=models.PayloadField(key=field))
    return models.Filter(must=must, must_not=[empty, models.HasIdCondition(has_id=seen)])


def _match(field: str, values: list[Any], kind: Any, name: str) -> list[Any]:
    kinds = [[v for v in values if isinstance(v, kind)] for kind in (str, int)]
    return [models.FieldCondition(key=field, match=kind(**{name: some})) for some in kinds if some]


def _best(groups: dict[Any, dict[Any, Any]], limit: int) -> list[Any]:
    best = {value: max(p.score for p in points.values()) for value, points in groups.items()}
    return sorted(best, key=lambda value: -best[value])[:limit]


def _made(groups: dict[Any, dict[Any, Any]], limit: int, size: int) -> list[models.PointGroup]:
    made = []
    for value in _best(groups, limit):
        hits = sorted(groups[value].values(), key=lambda point: -point.score)[:size]
        made.append(models.PointGroup(id=value, hits=hits))
    return made


def _values(value: Any) -> list[Any]:
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str | int)]
