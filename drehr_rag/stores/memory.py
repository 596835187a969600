"""Exact search over numpy arrays: the reference that the other stores must agree with."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from drehr_rag.errors import BadArgument, StoreMissing
from drehr_rag.stores._options import Access, Layout
from drehr_rag.stores._payload import SCHEMA
from drehr_rag.stores._scoped import Fields, Payload, Point, Row, ScopedStore
from drehr_rag.stores._where import Where, admits
from drehr_rag.types import SparseVector, Vectors


def open_store(
    location: str,
    *,
    manifest: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    access: Access | None = None,
) -> "MemoryStore":
    """A new, empty store; `location` is `:memory:`. Its search is exact, whatever `access` says.

    Raises:
        BadArgument: A layout is asked for.
        StoreMissing: There is no manifest to make one with.
    """
    if manifest is None:
        raise StoreMissing("a store in memory is always new: name an encoder to make it with")
    if layout not in (None, Layout()):
        raise BadArgument("a store in memory has no layout: name a folder or a server")
    return MemoryStore(manifest)


def restore(file: Path, location: str, *, access: Access | None = None) -> NoReturn:
    """There is nothing to restore into.

    Raises:
        BadArgument: Always.
    """
    raise BadArgument(f"what is restored to {location} is gone at once: name a folder or a server")


class MemoryStore(ScopedStore):
    """Everything in a dict; gone with the process.

    Args:
        manifest: Must hold `dimension`.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        """Start empty."""
        super().__init__()
        self.manifest = {**manifest, "schema": SCHEMA}
        self._points: dict[str, Point] = {}

    def _select(self, where: Where) -> list[Point]:
        # A copy, made in one step: another thread may be writing.
        return [point for point in list(self._points.values()) if admits(where, point[3])]

    def _nearest(
        self, vectors: Vectors, where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        points = self._select(where)
        if not points:
            return [[] for _ in vectors]
        rows = np.array([point[1] for point in points], dtype=np.float32)
        scores = _unit(vectors) @ _unit(rows).T
        return [_best(points, row, k) for row in scores]

    def _matching(
        self, vectors: Sequence[SparseVector], where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        everything = self._select(())
        frequency = Counter(i for point in everything for i in point[2].indices)
        points = [point for point in everything if admits(where, point[3])]
        return [self._bm25(vector, points, frequency, len(everything), k) for vector in vectors]

    def _bm25(
        self,
        query: SparseVector,
        points: Sequence[Point],
        frequency: Counter[int],
        total: int,
        k: int,
    ) -> list[Row]:
        weights = {
            i: value * log(1 + (total - frequency[i] + 0.5) / (frequency[i] + 0.5))
            for i, value in zip(query.indices, query.values, strict=True)
        }
        scores = [
            sum(weights.get(i, 0.0) * v for i, v in zip(p[2].indices, p[2].values, strict=True))
            for p in points
        ]
        matching = [i for i, p in enumerate(points) if weights.keys() & set(p[2].indices)]
        return _best([points[i] for i in matching], np.array([scores[i] for i in matching]), k)

    def _scroll(self, where: Where, *, brief: bool = False) -> Iterator[Payload]:
        yield from (point[3] for point in self._select(where))

    def _all(self) -> Iterator[list[Point]]:
        yield list(self._points.values())

    def _fetch(self, point_ids: Sequence[str]) -> list[Point]:
        return [self._points[point_id] for point_id in point_ids if point_id in self._points]

    def _dense(self, where: Where) -> Iterator[tuple[Payload, Sequence[float]]]:
        yield from ((point[3], point[1]) for point in self._select(where))

    def _count(self, where: Where) -> int:
        return len(self._select(where))

    def _facet(self, field: str, where: Where) -> dict[str, int]:
        values = (point[3].get(field) for point in self._select(where))
        return Counter(value for value in values if value is not None)

    def _write(self, points: Sequence[Point]) -> None:
        self._points.update((point[0], point) for point in points)

    def _erase(self, point_ids: Sequence[str]) -> None:
        for point_id in point_ids:
            self._points.pop(point_id, None)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return unit


def _best(points: Sequence[Point], scores: Any, k: int) -> list[Row]:
    order = np.argsort(-scores, kind="stable")[:k]
    return [(points[i][3], float(scores[i])) for i in order]
