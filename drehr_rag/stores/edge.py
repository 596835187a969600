"""Qdrant's own engine in this process, in a folder of its own: the default store.

```text
ehr.idx/
├── manifest.json   how it was made
├── state.json      whether it was closed well, and with how many chunks
├── lock            held by the process that has it open
├── rejects.jsonl   rows that could not be indexed
└── shard/          Qdrant's files, write-ahead log on
```
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Any, ParamSpec, TypeVar

import portalocker
import qdrant_edge as q

from drehr_rag.errors import StoreDamaged, StoreError, StoreInUse, StoreMissing
from drehr_rag.stores._manifest import REMEDY, checked, read_json, write_json
from drehr_rag.stores._payload import KEYWORDS, NUMBERS, SCHEMA
from drehr_rag.stores._scoped import BRIEF, EXACT_BELOW, PAGE, Payload, Point, Row, ScopedStore
from drehr_rag.stores._where import Among, Between, Where
from drehr_rag.types import SparseVector, Vectors

_ALL_VALUES = 2**31
"""Limit of a facet request: more values than a store on one machine holds."""

_FRESH, _STALE = "shard.new", "shard.old"
"""The new shard and the old one while the store is compacted."""

_OURS = {"manifest.json", "manifest.tmp", "lock", "state.json", "rejects.jsonl", "shard"}


P = ParamSpec("P")
R = TypeVar("R")


def _alone(method: Callable[P, R]) -> Callable[P, R]:
    """One thread at a time: what is written while the store is compacted must not be lost.

    It costs nothing, since the engine holds the interpreter while it works (ECOSYSTEM.md §2.5).
    """

    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        store: Any = args[0]
        with store._guard:
            return method(*args, **kwargs)

    return guarded


def open_store(location: str, *, manifest: Mapping[str, Any] | None = None) -> "EdgeStore":
    """Open the store in a folder, or make it there."""
    return EdgeStore(Path(location), manifest=manifest)


class EdgeStore(ScopedStore):
    """A Qdrant Edge shard in a folder.

    Args:
        folder: Where it is; made if `manifest` is given and it does not exist.
        manifest: What a new store is to remember; must hold `dimension`.

    Raises:
        StoreMissing: There is no store in the folder, and no manifest to make one with.
        StoreInUse: Another process, or this one, has it open.
        StoreDamaged: Its files are broken or incomplete.
        StoreOutdated: Another schema version.
    """

    def __init__(self, folder: Path, *, manifest: Mapping[str, Any] | None = None) -> None:
        """Take the lock, then load or make the shard."""
        self.folder = folder
        self._guard = RLock()
        self._shard: Any = None
        if manifest is None and not (folder / "manifest.json").exists():
            self._explain_missing()
        self._make_folder()
        self._lock = self._take_lock()
        try:
            self.manifest = self._load_or_create(manifest)
        except BaseException:
            self._lock.release()
            raise

    # -- opening and closing -----------------------------------------------------------------

    def _explain_missing(self) -> None:
        if (self.folder / "shard").exists():
            raise StoreDamaged(f"{self.folder} has lost its manifest.json. {REMEDY}")
        raise StoreMissing(
            f"there is no store at {self.folder}: make it with "
            f"drehr-rag index NOTES --store {self.folder} --encoder offline"
        )

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            inside = {path.name for path in self.folder.iterdir()}
        except OSError as problem:
            raise StoreError(f"cannot use {self.folder} as a store: {problem.strerror}") from None
        if "manifest.json" in inside and "shard" not in inside:
            mine = read_json(self.folder / "manifest.json")
            if not isinstance(mine, dict) or "schema" not in mine:
                raise StoreError(f"{self.folder} holds another program's files: name a new folder")
        if "manifest.json" in inside or not inside:
            return
        if "shard" in inside:
            raise StoreDamaged(f"{self.folder} has lost its manifest.json. {REMEDY}")
        if inside - _OURS:
            raise StoreError(f"{self.folder} holds other files and no store: name a new folder")

    def _take_lock(self) -> portalocker.Lock:
        flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
        path = self.folder / "lock"
        lock = portalocker.Lock(path, mode="a+", flags=flags, fail_when_locked=True, timeout=0)
        try:
            file = lock.acquire()
        except portalocker.exceptions.LockException:
            holder = path.read_text(errors="replace").strip() or "another process"
            raise StoreInUse(
                f"{self.folder} is in use by {holder}: close it there first, or put a server "
                f"between several users (--store http://...)"
            ) from None
        except OSError as problem:
            raise StoreError(f"cannot lock {self.folder}: {problem.strerror}") from None
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}")
        file.flush()
        return lock

    def _load_or_create(self, manifest: Mapping[str, Any] | None) -> dict[str, Any]:
        self._finish_compacting()
        path = self.folder / "manifest.json"
        if path.exists():
            held = checked(read_json(path), str(self.folder))
            if not held.get("creating") or self._holds_chunks():
                self._shard = self._load()
                return held
            shutil.rmtree(self.folder / "shard", ignore_errors=True)  # a run died before any chunk
            manifest = held
        elif (self.folder / "shard").exists():
            raise StoreDamaged(f"{self.folder} has lost its manifest.json. {REMEDY}")
        content = {**(manifest or {}), "schema": SCHEMA}
        content.pop("creating", None)
        write_json(path, {**content, "creating": True})
        self._shard = self._create(content["dimension"], self.folder / "shard")
        write_json(path, content)
        return content

    def _holds_chunks(self) -> bool:
        """Whether the mark of a store in the making is out of date, as after a loss of power."""
        try:
            shard = q.EdgeShard.load(str(self.folder / "shard"))
        except BaseException as problem:  # the engine's panics are no Exception
            if isinstance(problem, KeyboardInterrupt | SystemExit):
                raise
            return False
        held = bool(shard.count(q.CountRequest(exact=True)))
        shard.close()
        return held

    def _create(self, dimension: int, place: Path) -> Any:
        dense = q.EdgeVectorParams(size=dimension, distance=q.Distance.Cosine)
        sparse = q.EdgeSparseVectorParams(modifier=q.Modifier.Idf)
        config = q.EdgeConfig(
            vectors={"dense": dense}, sparse_vectors={"lexical": sparse}, wal_enabled=True
        )
        place.mkdir(mode=0o700)
        shard = q.EdgeShard.create(str(place), config)
        for field in KEYWORDS:
            index = q.KeywordIndexParams(is_tenant=field == "patient_id")
            shard.update(q.UpdateOperation.create_field_index(field, index))
        for field in NUMBERS:
            shard.update(q.UpdateOperation.create_field_index(field, q.FloatIndexParams()))
        shard.flush()
        return shard

    def _load(self) -> Any:
        if not (self.folder / "shard").is_dir():
            raise StoreDamaged(f"{self.folder} has lost its folder shard. {REMEDY}")
        try:
            shard = q.EdgeShard.load(str(self.folder / "shard"))
            held = shard.count(q.CountRequest(exact=True))
            indexed = set(shard.info().payload_schema)
        except BaseException as problem:  # the engine's panics are no Exception
            if isinstance(problem, KeyboardInterrupt | SystemExit):
                raise
            if "WouldBlock" in str(problem):
                raise StoreInUse(f"{self.folder} is in use by another Qdrant Edge") from None
            raise StoreDamaged(f"the files of {self.folder} are broken. {REMEDY}") from problem
        if not indexed.issuperset((*KEYWORDS, *NUMBERS)):  # chunks come back from the log alone
            shard.close()
            raise StoreDamaged(f"{self.folder} has lost its payload indexes. {REMEDY}")
        state = read_json(self.folder / "state.json")
        if isinstance(state, dict) and state.get("closed") and state.get("chunks") != held:
            shard.close()
            raise StoreDamaged(
                f"{self.folder} was closed with {state.get('chunks')} chunks and now has {held}. "
                f"{REMEDY}"
            )
        return shard

    @_alone
    def close(self) -> None:
        """Flush to disk and let go of the lock."""
        if self._shard is None:
            return
        shard, self._shard = self._shard, None
        try:
            shard.flush()
            chunks = shard.count(q.CountRequest(exact=True))
            shard.close()
            write_json(self.folder / "state.json", {"closed": True, "chunks": chunks})
        finally:
            self._lock.release()

    @_alone
    def purge(self) -> None:
        """Below 50,000 chunks, `compact`; above, that takes minutes and is left to the caller."""
        if self._open().count(q.CountRequest(exact=True)) < EXACT_BELOW:
            self.compact()

    @_alone
    def compact(self) -> None:
        """Write the shard anew, so that deleted text leaves the files and the log as well.

        Interrupted at any point, the next opening finds the old shard or the new one, whole.
        """
        self._mark_open()
        fresh = self.folder / _FRESH
        shutil.rmtree(fresh, ignore_errors=True)
        shard = self._create(self.manifest["dimension"], fresh)
        for points in self._points():
            _put(shard, points)
        shard.flush()
        shard.close()
        self._open().close()
        self._shard = None
        (self.folder / "shard").rename(self.folder / _STALE)
        fresh.rename(self.folder / "shard")
        shutil.rmtree(self.folder / _STALE)
        self._shard = self._load()

    def _finish_compacting(self) -> None:
        shard, fresh, stale = (self.folder / name for name in ("shard", _FRESH, _STALE))
        if stale.exists() and not shard.exists():  # died between the two renamings
            (fresh if fresh.exists() else stale).rename(shard)
        for left in (fresh, stale):
            shutil.rmtree(left, ignore_errors=True)

    @_alone
    def optimise(self) -> None:
        """Build the graph in a process of its own: the engine would freeze this one.

        Does nothing below 50,000 chunks, where exact search is faster.
        """
        if self._open().count(q.CountRequest(exact=True)) >= EXACT_BELOW:
            self._optimise_apart()

    def _optimise_apart(self) -> None:
        self._open().flush()
        self._shard.close()
        place = str(self.folder / "shard")
        code = "import sys, qdrant_edge as q; s = q.EdgeShard.load(sys.argv[1]); s.optimize()"
        command = [sys.executable, "-c", f"{code}; s.flush(); s.close()", place]
        try:
            run = subprocess.run(command, capture_output=True, check=False)
        finally:
            self._shard = None
            self._shard = self._load()
        if run.returncode:
            raise StoreError(f"optimising {self.folder} failed; the store is whole and usable")

    def _open(self) -> Any:
        if self._shard is None:
            raise StoreError(f"the store {self.folder} is closed")
        return self._shard

    # -- the engine ----------------------------------------------------------------------------

    def _nearest(self, vectors: Vectors, where: Where, k: int) -> list[list[Row]]:
        return self._query([(v.tolist(), "dense") for v in vectors], where, k)

    def _matching(self, vectors: Sequence[SparseVector], where: Where, k: int) -> list[list[Row]]:
        sparse = [q.SparseVector(list(v.indices), list(v.values)) for v in vectors]
        return self._query([(vector, "lexical") for vector in sparse], where, k)

    @_alone
    def _query(self, vectors: Sequence[tuple[Any, str]], where: Where, k: int) -> list[list[Row]]:
        shard = self._open()
        exact = shard.info().points_count < EXACT_BELOW
        requests = [
            q.QueryRequest(
                limit=k,
                query=q.Query.Nearest(vector, using=using),
                filter=_filter(where),
                params=q.SearchParams(exact=exact),
                with_payload=True,
            )
            for vector, using in vectors
        ]
        found = shard.query_batch(q.QueryBatchRequest(requests))
        return [[(point.payload, point.score) for point in points] for points in found]

    def _scroll(self, where: Where, *, brief: bool = False) -> Iterator[Payload]:
        fields = list(BRIEF) if brief else True
        yield from (point.payload for point in self._each(where, fields, vectors=False))

    def _dense(self, where: Where) -> Iterator[tuple[Payload, Sequence[float]]]:
        points = self._each(where, True, vectors=["dense"])
        yield from ((point.payload, point.vector["dense"]) for point in points)

    def _each(self, where: Where, fields: Any, *, vectors: Any) -> Iterator[Any]:
        offset = None
        while True:
            points, offset = self._page(where, fields, vectors, offset)
            yield from points
            if offset is None:
                return

    @_alone
    def _page(self, where: Where, fields: Any, vectors: Any, offset: Any) -> tuple[list[Any], Any]:
        request = q.ScrollRequest(
            offset=offset,
            limit=PAGE,
            filter=_filter(where),
            with_payload=fields,
            with_vector=vectors,
        )
        found: tuple[list[Any], Any] = self._open().scroll(request)
        return found

    @_alone
    def _count(self, where: Where) -> int:
        counted: int = self._open().count(q.CountRequest(exact=True, filter=_filter(where)))
        return counted

    @_alone
    def _facet(self, field: str, where: Where) -> dict[str, int]:
        request = q.FacetRequest(field, limit=_ALL_VALUES, exact=True, filter=_filter(where))
        return {str(hit.value): hit.count for hit in self._open().facet(request)}

    @_alone
    def _write(self, points: Sequence[Point]) -> None:
        self._mark_open()
        _put(self._open(), points)

    def _points(self) -> Iterator[list[Point]]:
        offset = None
        while True:
            found, offset = self._page((), True, True, offset)
            yield [
                (
                    str(point.id),
                    point.vector["dense"],
                    SparseVector(
                        tuple(point.vector["lexical"].indices),
                        tuple(point.vector["lexical"].values),
                    ),
                    point.payload,
                )
                for point in found
            ]
            if offset is None:
                return

    @_alone
    def _erase(self, point_ids: Sequence[str]) -> None:
        self._mark_open()
        self._open().update(q.UpdateOperation.delete_points(list(point_ids)))

    def _mark_open(self) -> None:
        """From the first change to the next close the count on disk says nothing."""
        path = self.folder / "state.json"
        if path.exists():
            path.unlink()


def _put(shard: Any, points: Sequence[Point]) -> None:
    rows = [
        q.Point(
            point_id,
            {
                "dense": list(dense),
                "lexical": q.SparseVector(list(sparse.indices), list(sparse.values)),
            },
            payload,
        )
        for point_id, dense, sparse, payload in points
    ]
    if rows:
        shard.update(q.UpdateOperation.upsert_points(rows))


def _filter(where: Where) -> Any:
    must: list[Any] = []
    must_not: list[Any] = []
    for condition in where:
        field = condition.field
        if isinstance(condition, Among):
            must.append(q.FieldCondition(field, match=q.MatchAny(sorted(condition.values))))
        elif isinstance(condition, Between):
            bounds = q.RangeFloat(gte=condition.low, lte=condition.high)
            must.append(q.FieldCondition(field, range=bounds))
        else:
            must_not.append(q.IsEmptyCondition(field))
            if condition.values:
                must_not.append(q.FieldCondition(field, match=q.MatchAny(sorted(condition.values))))
    return q.Filter(must=must, must_not=must_not)
