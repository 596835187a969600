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

from drehr_rag.errors import BadArgument, StoreDamaged, StoreError, StoreInUse, StoreMissing
from drehr_rag.stores._edge_models import conditions, create, put, takes_changes, to_point
from drehr_rag.stores._manifest import REMEDY, checked, read_json, write_json
from drehr_rag.stores._options import Access, Layout, layout_of
from drehr_rag.stores._payload import KEYWORDS, NUMBERS, SCHEMA
from drehr_rag.stores._scoped import (
    BRIEF,
    EXACT_BELOW,
    PAGE,
    PATIENT,
    POINT,
    Fields,
    Payload,
    Point,
    Row,
    ScopedStore,
    best_patients,
    of_one_patient,
    only,
)
from drehr_rag.stores._snapshot_file import pack, unpack
from drehr_rag.stores._where import Where
from drehr_rag.types import SparseVector, Vectors

_ALL_VALUES = 2**31
"""Limit of a facet request: more values than a store on one machine holds."""

SPACE = 256 * 2**20
"""Bytes that must be free before a write: the engine maps new pages of 32 MiB for the log, vectors,
terms, payloads and indexes, and a page without a disk behind it ends the process (SIGBUS)."""

HALF_BUILT = "temp_segments"
"""Where the engine builds a graph. Killed meanwhile, it leaves a copy of the chunks there, text of
deleted notes included (2.2 GB of a million)."""

_FRESH, _STALE = "shard.new", "shard.old"
"""The new shard and the old one while the store is compacted."""

_KEPT = ("manifest.json", "state.json", "rejects.jsonl", "shard")
"""What a snapshot holds."""

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


def open_store(
    location: str,
    *,
    manifest: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    access: Access | None = None,
) -> "EdgeStore":
    """Open the store in a folder, or make it there."""
    return EdgeStore(Path(location), manifest=manifest, layout=layout, access=access)


def restore(file: Path, location: str, *, access: Access | None = None) -> None:
    """Make a store in a new folder from a snapshot of one.

    Raises:
        StoreError: The folder exists, or the file is no snapshot of a store in a folder.
        StoreDamaged: The snapshot is not whole.
    """
    unpack(file, Path(location), needed=("manifest.json", "shard"))
    EdgeStore(Path(location), access=access).close()


class EdgeStore(ScopedStore):
    """A Qdrant Edge shard in a folder.

    Args:
        folder: Where it is; made if `manifest` is given and it does not exist.
        manifest: What a new store is to remember; must hold `dimension`.
        layout: How a new store keeps its vectors; a folder has no shards and replicas.
        access: How it is searched; what is for servers alone has no effect.

    Raises:
        BadArgument: The layout asks for what only a server has.
        StoreMissing: There is no store in the folder, and no manifest to make one with.
        StoreInUse: Another process, or this one, has it open.
        StoreDamaged: Its files are broken or incomplete.
        StoreOutdated: Another schema version.
    """

    def __init__(
        self,
        folder: Path,
        *,
        manifest: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
        access: Access | None = None,
    ) -> None:
        """Take the lock, then load or make the shard."""
        layout = layout or Layout()
        if layout != layout.on_one_node():
            raise BadArgument("a store in a folder has no shards, replicas or write consistency")
        if manifest is not None:
            laid = layout.resolved(manifest["dimension"]).model_dump()
            manifest = {**manifest, "layout": laid}
        self.folder = folder
        self._access = access or Access()
        super().__init__()
        self._guard = RLock()
        self._shard: Any = None
        self._takes_changes: bool | None = None
        if manifest is None and not (folder / "manifest.json").exists():
            self._explain_missing()
        self._make_folder()
        self._lock = self._take_lock()
        try:
            self.manifest = self._load_or_create(manifest)
            self.layout = layout_of(self.manifest)
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
            raise StoreError(
                f"cannot lock {self.folder}: {problem.strerror}. A store is opened where it can be "
                f"written: copy the folder there"
            ) from None
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
            manifest = manifest or held
        elif (self.folder / "shard").exists():
            raise StoreDamaged(f"{self.folder} has lost its manifest.json. {REMEDY}")
        content = {**(manifest or {}), "schema": SCHEMA}
        content.pop("creating", None)
        self._needs_space()
        write_json(path, {**content, "creating": True})
        self._shard = create(content, self.folder / "shard")
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
        held = _size(shard) > 0
        shard.close()
        return held

    def _load(self) -> Any:
        self._takes_changes = None  # not asked yet
        if not (self.folder / "shard").is_dir():
            raise StoreDamaged(f"{self.folder} has lost its folder shard. {REMEDY}")
        for left in (self.folder / "shard" / HALF_BUILT).glob("*"):
            shutil.rmtree(left, ignore_errors=True)  # the engine never looks at it again
        try:
            shard = q.EdgeShard.load(str(self.folder / "shard"))
            held = _size(shard)
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
        shard, self._shard = self._shard, None
        try:
            if shard is not None:  # as after a compaction whose files could not be opened
                shard.flush()
                chunks = _size(shard)
                shard.close()
                write_json(self.folder / "state.json", {"closed": True, "chunks": chunks})
        finally:
            self._lock.release()

    @_alone
    def purge(self) -> None:
        """Below 50,000 chunks, `compact`; above, that takes minutes and is left to the caller."""
        if _size(self._open()) < EXACT_BELOW:
            self.compact()

    @_alone
    def compact(self) -> None:
        """Write the shard anew, so that deleted text leaves the files and the log as well.

        Interrupted at any point, the next opening finds the old shard or the new one, whole.

        Raises:
            StoreError: The disk has no room for a second shard.
        """
        self._needs_space(_bytes(self.folder / "shard"))
        self._mark_open()
        fresh = self.folder / _FRESH
        shutil.rmtree(fresh, ignore_errors=True)
        shard = create(self.manifest, fresh)
        for points in self._all():
            put(shard, points)
        shard.flush()
        shard.close()
        self._open().close()
        self._shard = None
        (self.folder / "shard").rename(self.folder / _STALE)
        fresh.rename(self.folder / "shard")
        shutil.rmtree(self.folder / _STALE)
        self._shard = self._load()

    @_alone
    def snapshot(self, file: Path) -> None:
        """Write the whole store into one file, from which `restore` makes it again.

        Raises:
            StoreError: The file exists or cannot be written.
        """
        self._open().flush()
        chunks = self._shard.count(q.CountRequest(exact=True))
        self._shard.close()
        self._shard = None
        state = self.folder / "state.json"
        try:
            write_json(state, {"closed": True, "chunks": chunks})
            pack(self.folder, [name for name in _KEPT if (self.folder / name).exists()], file)
        finally:
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
        if _size(self._open()) >= EXACT_BELOW:
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

    def _nearest(
        self, vectors: Vectors, where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        asked = [(_engine_vector(vector), where) for vector in vectors]
        return self._query(asked, "dense", k, fields=fields)

    def _matching(
        self, vectors: Sequence[SparseVector], where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        asked = [(_engine_vector(vector), where) for vector in vectors]
        return self._query(asked, "lexical", k, fields=fields)

    def _groups(
        self, kind: str, vector: Any, where: Where, k: int, per_group: int
    ) -> list[list[Row]]:
        """The patients by their ids alone, then the rows of all of them."""
        query = _engine_vector(vector)

        def search(rest: Where, limit: int) -> list[Row]:
            return self._query([(query, rest)], kind, limit, fields=[PATIENT])[0]

        best = best_patients(search, where, k)
        return self._rows_of(best, kind, vector, where, per_group)

    def _rows_of(
        self, patients: Sequence[str], kind: str, vector: Any, where: Where, per_group: int
    ) -> list[list[Row]]:
        """As elsewhere, in one request."""
        query = _engine_vector(vector)
        asked = [(query, only(patient, where)) for patient in patients]
        return self._query(asked, kind, per_group)

    @_alone
    def _query(
        self,
        asked: Sequence[tuple[Any, Where]],
        using: str,
        k: int,
        *,
        fields: Fields = None,
    ) -> list[list[Row]]:
        params = {where: self._params(using, where) for where in {where for _, where in asked}}
        requests = [
            q.QueryRequest(
                limit=k,
                query=q.Query.Nearest(vector, using=using),
                filter=conditions(where),
                params=params[where],
                with_payload=True if fields is None else list(fields) or False,
            )
            for vector, where in asked
        ]
        found = self._open().query_batch(q.QueryBatchRequest(requests))
        if fields is not None and not fields:
            return [[({POINT: str(point.id)}, point.score) for point in points] for points in found]
        return [[(point.payload, point.score) for point in points] for points in found]

    def _params(self, using: str, where: Where) -> Any:
        if using == "lexical":
            return None  # there is no graph of words: the search is exact
        access = self._access
        exact = self._are_few(where) if access.exact is None else access.exact
        quantised = q.QuantizationSearchParams(
            ignore=exact, rescore=True, oversampling=access.oversampling
        )
        return q.SearchParams(
            exact=exact,
            hnsw_ef=None if exact else access.hnsw_ef,
            quantization=quantised if self.layout.quantisation else None,
        )

    def _are_few(self, where: Where) -> bool:
        """Whether so few chunks meet the conditions that looking at all of them is best.

        A patient's are: they are not counted, which takes as long as the search itself.
        """
        shard = self._open()
        if of_one_patient(where) or _size(shard) < EXACT_BELOW:
            return True
        about = q.CountRequest(exact=False, filter=conditions(where))
        return bool(where) and bool(shard.count(about) < EXACT_BELOW)

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
            filter=conditions(where),
            with_payload=fields,
            with_vector=vectors,
        )
        found: tuple[list[Any], Any] = self._open().scroll(request)
        return found

    @_alone
    def _count(self, where: Where) -> int:
        if not where:
            return _size(self._open())
        counted: int = self._open().count(q.CountRequest(exact=True, filter=conditions(where)))
        return counted

    @_alone
    def _facet(self, field: str, where: Where) -> dict[str, int]:
        """Counts per value; without conditions the index itself knows them.

        "Exact" would look at every chunk, and would return values whose chunks are all gone. The
        two differ only for a chunk that is in two segments at once, as while a server optimises.
        """
        request = q.FacetRequest(
            field, limit=_ALL_VALUES, exact=bool(where), filter=conditions(where)
        )
        return {str(hit.value): hit.count for hit in self._open().facet(request)}

    @_alone
    def _write(self, points: Sequence[Point]) -> None:
        self._needs_space()
        self._before_change()
        put(self._open(), points)

    def _all(self) -> Iterator[list[Point]]:
        offset = None
        while True:
            found, offset = self._page((), True, True, offset)
            yield [to_point(record) for record in found]
            if offset is None:
                return

    @_alone
    def _payloads(self, point_ids: Sequence[str]) -> dict[str, Payload]:
        found = self._open().retrieve(list(point_ids), with_payload=True, with_vector=False)
        return {str(record.id): record.payload for record in found}

    @_alone
    def _fetch(self, point_ids: Sequence[str]) -> list[Point]:
        found = self._open().retrieve(list(point_ids), with_payload=True, with_vector=True)
        return [to_point(record) for record in found]

    @_alone
    def _erase(self, point_ids: Sequence[str]) -> None:
        self._before_change()
        self._open().update(q.UpdateOperation.delete_points(list(point_ids)))

    def _needs_space(self, more: int = 0) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < SPACE + more:
            raise StoreError(
                f"the disk of {self.folder} has {free / 2**20:.0f} MB left and "
                f"{(SPACE + more) / 2**20:.0f} MB are needed: make room and run this again; what "
                f"was written is kept"
            )

    def _before_change(self) -> None:
        """Once an opening, ask the engine whether it takes changes; then mark the store open."""
        if self._takes_changes is None:
            self._takes_changes = takes_changes(self._open())
        if not self._takes_changes:
            raise StoreDamaged(
                f"the log of {self.folder} is damaged, so the engine would pass over the change. "
                f"{REMEDY}"
            )
        self._mark_open()

    def _mark_open(self) -> None:
        """From the first change to the next close the count on disk says nothing."""
        path = self.folder / "state.json"
        if path.exists():
            path.unlink()


def _bytes(folder: Path) -> int:
    """What its files take on the disk; the engine's are longer than what they hold."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _size(shard: Any) -> int:
    """How many chunks a shard holds; `count` would look at every one of them."""
    held: int = shard.info().points_count
    return held


def _engine_vector(vector: Any) -> Any:
    if isinstance(vector, SparseVector):
        return q.SparseVector(list(vector.indices), list(vector.values))
    return vector.tolist()
