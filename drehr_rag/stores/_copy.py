"""Copy a store into another of any kind, and check every chunk of the copy."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from drehr_rag.errors import BadArgument, StoreError, StoreMissing
from drehr_rag.stores import kind_of, open_store
from drehr_rag.stores._options import Access, Layout, layout_of
from drehr_rag.stores._scoped import PAGE, Point, ScopedStore
from drehr_rag.stores._where import Chosen

SAME_DIRECTION = 0.9999
"""Cosine between a vector and its copy: float16 keeps 11 bits of each number."""

_KEPT = ("dimension", "encoder", "chunker")
"""What a manifest says of the content, and a copy must say too."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What was copied, and how far the copy is from it.

    Attributes:
        chunks: How many, the same on both sides.
        checksum: SHA-256 over all payloads, in whatever order; the same on both sides.
        difference: Largest difference between a number of a vector and its copy.
        seconds: How long it took.
    """

    chunks: int
    checksum: str
    difference: float
    seconds: float


def copy_store(
    source: str,
    target: str,
    *,
    layout: Layout | None = None,
    source_access: Access | None = None,
    target_access: Access | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> CopyReport:
    """Copy every chunk, then read all of them back and compare.

    Interrupted, it may be run again: chunks that are there are written over with the same.

    Args:
        source: A folder or a server's collection.
        target: Another; made if it does not exist.
        layout: How a new target keeps its vectors; what it does not name is as in the source, but
            for shards, replicas and write consistency.
        source_access: How the source is talked to.
        target_access: How the target is talked to.
        progress: Told what is done ("copying", "checking"), how many chunks, of how many.

    Raises:
        BadArgument: The target is the source, or holds the work of another encoder or chunker.
        StoreError: The target holds what the source does not, so nothing was written; or what was
            read back differs.
    """
    started = perf_counter()
    if layout is not None and not isinstance(layout, Layout):
        raise BadArgument(f"layout takes Layout(…), not {type(layout).__name__}")
    if _same(source, target):
        raise BadArgument(f"{target} is the store to copy: name another")
    with open_store(source, access=source_access) as old:
        manifest = {name: old.manifest[name] for name in _KEPT if name in old.manifest}
        named = {name: getattr(layout, name) for name in layout.model_fields_set} if layout else {}
        wanted = layout_of(old.manifest).on_one_node().but(**named)
        with _target(target, manifest, wanted, bool(named), target_access) as new:
            if foreign := _foreign(old, new):
                raise StoreError(
                    f"{target} holds {foreign} chunks that {source} lacks: name a new store; "
                    f"nothing was written"
                )
            total = old._count(())
            _write(old, new, lambda done: progress("copying", done, total))
            new.optimise()
            checksum, difference = _compare(
                old, new, target, lambda done: progress("checking", done, total)
            )
            if (held := new._count(())) != total:
                raise StoreError(
                    f"{target} holds {held} chunks and {source} {total}: "
                    f"somebody wrote into it meanwhile; copy again into a new store"
                )
    return CopyReport(total, checksum, difference, perf_counter() - started)


def _same(one: str, other: str) -> bool:
    if kind_of(one) == kind_of(other) == "edge":
        return Path(one).resolve() == Path(other).resolve()
    return one == other


def _target(
    target: str,
    manifest: dict[str, object],
    wanted: Layout,
    asked: bool,
    access: Access | None,
) -> ScopedStore:
    if target == ":memory:":
        raise BadArgument("a copy in memory ends with this command: name a folder or a server")
    try:
        store = open_store(target, layout=wanted if asked else None, access=access)
    except StoreMissing:
        return open_store(target, manifest=manifest, layout=wanted, access=access)
    differ = [name for name in _KEPT if store.manifest.get(name) != manifest.get(name)]
    if differ:
        store.close()
        raise BadArgument(f"{target} exists and was made with another {', '.join(differ)}")
    return store


def _foreign(old: ScopedStore, new: ScopedStore) -> int:
    """How many chunks the copy holds that the source lacks: none where one was broken off."""
    ids = (payload["chunk_id"] for payload in new._scroll((), brief=True))
    count = 0
    while page := frozenset(islice(ids, PAGE)):
        count += len(page) - sum(1 for _ in old._scroll((Chosen(page),), brief=True))
    return count


def _write(old: ScopedStore, new: ScopedStore, progress: Callable[[int], None]) -> None:
    done = 0
    for points in old._all():
        if points:
            new._write(points)
        done += len(points)
        progress(done)


def _compare(
    old: ScopedStore, new: ScopedStore, place: str, progress: Callable[[int], None]
) -> tuple[str, float]:
    done = total = 0
    difference = 0.0
    for points in old._all():
        copies = {point[0]: point for point in new._fetch([p[0] for p in points])} if points else {}
        if len(copies) != len(points):
            raise StoreError(f"{len(points) - len(copies)} chunks did not arrive in {place}")
        pairs = [(point, copies[point[0]]) for point in points]
        if wrong := [one for one, other in pairs if not _equal(one, other)]:
            raise StoreError(f"{len(wrong)} of {len(points)} chunks read back from {place} differ")
        if pairs:
            difference = max(difference, _distance(pairs))
        total = (total + sum(_digest(point) for point in points)) % 2**256
        done += len(points)
        progress(done)
    return f"{total:064x}", difference


def _equal(one: Point, other: Point) -> bool:
    """Same payload and terms; weights travel as float32."""
    mine, its = (dict(zip(p[2].indices, p[2].values, strict=True)) for p in (one, other))
    if one[3] != other[3] or mine.keys() != its.keys():
        return False
    return all(abs(mine[term] - its[term]) <= 1e-6 * abs(mine[term]) for term in mine)


def _distance(pairs: Sequence[tuple[Point, Point]]) -> float:
    ours = np.array([one[1] for one, _ in pairs], dtype=np.float64)
    theirs = np.array([other[1] for _, other in pairs], dtype=np.float64)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if not ((ours * theirs).sum(axis=1) / lengths >= SAME_DIRECTION).all():
            raise StoreError("vectors read back point elsewhere than those that were written")
    return float(np.abs(ours - theirs).max())


def _digest(point: Point) -> int:
    payload = json.dumps([point[0], point[3]], sort_keys=True, ensure_ascii=False)
    return int.from_bytes(sha256(payload.encode("utf-8", "surrogatepass")).digest())
