"""The base of every store: it owns scope, checks and order; an engine fills the holes below."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any, Self

import numpy as np

from drehr_rag._arguments import MOST, needs_scope, positive
from drehr_rag.errors import ScopeError, StoreError, UnknownName
from drehr_rag.protocols import NoteState
from drehr_rag.stores._payload import FACETS, point_id, to_chunk, to_payload
from drehr_rag.stores._where import NO_FILTERS, Among, Chosen, Except, Where, admits, narrow
from drehr_rag.types import Chunk, Filters, Hit, PatientHits, Ranked, Scope, SparseVector, Vectors

EXACT_BELOW = 50_000
"""Chunks up to which exact search beats a graph (ECOSYSTEM.md section 2.4, measured)."""

PAGE = 1_000
"""Ids in one condition, and rows in one page."""

PATIENT = "patient_id"
"""What cohort searches group by."""

BRIEF = ("chunk_id", "note_id", PATIENT, "encounter_id", "digest", "of")
"""What a store's bookkeeping reads of a chunk."""

Payload = dict[str, Any]
Row = tuple[Payload, float]
Fields = Sequence[str] | None
"""Fields of payloads that are wanted; None for all; if empty, the point's id as field `POINT`."""

POINT = "point"

Point = tuple[str, Sequence[float], SparseVector, Payload]
"""Point id, dense vector, sparse vector, payload."""


class ScopedStore(ABC):
    """Vectors to hits, inside a scope.

    Every public method that reads takes a scope and hands `_where.narrow(scope, filters)` to the
    engine; what the engine returns is checked against it once more, a ranking of points when they
    are read (`at`). Engines never see a scope.

    Attributes:
        manifest: Schema version, dimension, encoder fingerprint, chunker settings.
    """

    manifest: dict[str, Any]

    def __init__(self) -> None:
        """One writer at a time: what is looked at before a write must still hold when it is done.

        It reaches as far as this process; between several, a server takes the last one's word.
        """
        self._writing = RLock()

    # -- reading ---------------------------------------------------------------------------

    @needs_scope
    def search_dense(
        self, vectors: Vectors, *, scope: Scope, filters: Filters = NO_FILTERS, k: int
    ) -> list[list[Hit]]:
        """The k nearest chunks of each query vector, by cosine, best first.

        Args:
            vectors: Shape (queries, dimension).
            scope: Whose notes.
            filters: Narrow inside the scope.
            k: At most so many hits a query.

        Raises:
            ScopeRequired: No scope.
            StoreError: The vectors do not fit the store.
        """
        where = narrow(scope, filters)
        found = self._dense_rows(vectors, where, k)
        return [self._hits(rows, where or (), "dense") for rows in found]

    @needs_scope
    def search_sparse(
        self,
        vectors: Sequence[SparseVector],
        *,
        scope: Scope,
        filters: Filters = NO_FILTERS,
        k: int,
    ) -> list[list[Hit]]:
        """The k best chunks of each sparse query, by BM25 with the IDF of the whole store.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope, filters)
        found = self._sparse_rows(vectors, where, k)
        return [self._hits(rows, where or (), "lexical") for rows in found]

    @needs_scope
    def rank_dense(
        self,
        vectors: Vectors,
        *,
        scope: Scope,
        filters: Filters = NO_FILTERS,
        k: int,
        named: bool = True,
    ) -> list[list[Ranked]]:
        """As `search_dense`, but only which chunks and how near: fusion needs no more.

        Args:
            vectors: Shape (queries, dimension).
            scope: Whose notes.
            filters: Narrow inside the scope.
            k: At most so many chunks a query.
            named: Whether `Ranked.chunk_id` is the chunk's id. If not it is its point's, for which
                no chunk is looked at: 0.2 ms for a hundred of them, 0.7 with their names, 0.9 whole
                (Qdrant Edge 0.9). `at` reads those that are wanted, and checks their scope.

        Raises:
            ScopeRequired: No scope.
            StoreError: The vectors do not fit the store.
        """
        where = narrow(scope, filters)
        fields = _checked_by(where) if named else ()
        found = self._dense_rows(vectors, where, k, fields=fields)
        return [self._ranked(rows, where or (), named) for rows in found]

    @needs_scope
    def rank_sparse(
        self,
        vectors: Sequence[SparseVector],
        *,
        scope: Scope,
        filters: Filters = NO_FILTERS,
        k: int,
        named: bool = True,
    ) -> list[list[Ranked]]:
        """As `search_sparse`, but only which chunks and how well they fit; see `rank_dense`.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope, filters)
        fields = _checked_by(where) if named else ()
        found = self._sparse_rows(vectors, where, k, fields=fields)
        return [self._ranked(rows, where or (), named) for rows in found]

    @needs_scope
    def patients_dense(
        self,
        vector: Vectors,
        *,
        scope: Scope,
        filters: Filters = NO_FILTERS,
        k: int,
        per_patient: int,
    ) -> list[PatientHits]:
        """The k patients with the nearest chunks, each with its `per_patient` nearest.

        Patients stand in the order of their best hit; chunks of nobody are passed over.

        Args:
            vector: Shape (dimension,).
            scope: Whose notes.
            filters: Narrow inside the scope.
            k: At most so many patients.
            per_patient: At most so many hits a patient.

        Raises:
            ScopeRequired: No scope.
            StoreError: The vector does not fit the store.
        """
        where = narrow(scope, filters)
        self._check_vectors(vector[None])
        positive(k)
        positive(per_patient, "per_patient")
        if where is None:
            return []
        return self._patients("dense", vector, where, k, per_patient)

    @needs_scope
    def patients_sparse(
        self,
        vector: SparseVector,
        *,
        scope: Scope,
        filters: Filters = NO_FILTERS,
        k: int,
        per_patient: int,
    ) -> list[PatientHits]:
        """As `patients_dense`, by BM25 with the IDF of the whole store.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope, filters)
        positive(k)
        positive(per_patient, "per_patient")
        if where is None or not vector.indices:
            return []
        return self._patients("lexical", vector, where, k, per_patient)

    @needs_scope
    def get(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Those of the chunks that exist in scope, in the order asked for.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope)
        if where is None:
            return []
        found: dict[str, Chunk] = {}
        for some in _pages(list(dict.fromkeys(chunk_ids))):
            condition = (*where, Chosen(frozenset(some)))
            for payload in self._inside(self._scroll(condition), condition):
                found[payload["chunk_id"]] = to_chunk(payload)
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    @needs_scope
    def at(
        self, point_ids: Sequence[str], *, scope: Scope, filters: Filters = NO_FILTERS
    ) -> dict[str, Chunk]:
        """Those of the points that exist and meet the filters, by their ids.

        Args:
            point_ids: What `rank_dense` and `rank_sparse` give with `named=False`.
            scope: Whose notes.
            filters: Those of the ranking: a chunk that was edited since may not meet them any more.

        Raises:
            ScopeRequired: No scope.
            ScopeError: One is outside it.
        """
        inside, where = narrow(scope), narrow(scope, filters)
        if inside is None or where is None:
            return {}
        found: dict[str, Chunk] = {}
        for some in _pages(list(dict.fromkeys(point_ids))):
            payloads = self._payloads(some)
            for point, payload in zip(
                payloads, self._inside(iter(payloads.values()), inside), strict=True
            ):
                if admits(where, payload):
                    found[point] = to_chunk(payload)
        return found

    @needs_scope
    def count(self, *, scope: Scope, filters: Filters = NO_FILTERS) -> int:
        """How many chunks are in scope.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope, filters)
        return 0 if where is None else self._count(where)

    @needs_scope
    def facets(self, field: str, *, scope: Scope, filters: Filters = NO_FILTERS) -> dict[str, int]:
        """Chunks per value of a field, most frequent first, then by value.

        Args:
            field: `patient_id`, `encounter_id`, `note_id`, `note_type` (lower case) or `section`.
            scope: Whose notes.
            filters: Narrow inside the scope.

        Raises:
            ScopeRequired: No scope.
            UnknownName: Nothing is counted by this field.
        """
        if field not in FACETS:
            raise UnknownName(f"no facet is called {field!r}: there are {', '.join(FACETS)}")
        where = narrow(scope, filters)
        counts = {} if where is None else self._facet(FACETS[field], where)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @needs_scope
    def scan(self, *, scope: Scope, filters: Filters = NO_FILTERS) -> Iterator[Chunk]:
        """Every chunk in scope, as a stream in no order.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope, filters)
        if where is None:
            return iter(())
        return map(to_chunk, self._inside(self._scroll(where), where))

    @needs_scope
    def vectors(self, chunk_ids: Sequence[str], *, scope: Scope) -> dict[str, Vectors]:
        """The dense vectors, shape (dimension,), of those of the chunks that exist in scope.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope)
        if where is None:
            return {}
        found: dict[str, Vectors] = {}
        for some in _pages(chunk_ids):
            condition = (*where, Chosen(frozenset(some)))
            for payload, vector in self._dense(condition):
                if not admits(condition, payload):
                    raise ScopeError("the engine returned a chunk outside the scope: withheld")
                found[payload["chunk_id"]] = np.asarray(vector, dtype=np.float32)
        return found

    # -- writing (what names notes, not people, needs no scope) -------------------------------

    def note_states(self, note_ids: Sequence[str]) -> dict[str, NoteState]:
        """What is held of these notes; a note with half its chunks is not complete."""
        rows: dict[str, list[Payload]] = defaultdict(list)
        for some in _pages(note_ids):
            for payload in self._scroll((Among("note_id", frozenset(some)),), brief=True):
                rows[payload["note_id"]].append(payload)
        return {note_id: _state(payloads) for note_id, payloads in rows.items()}

    def upsert(
        self,
        chunks: Sequence[Chunk],
        dense: Vectors,
        sparse: Sequence[SparseVector],
        digests: Mapping[str, tuple[str, int]],
        *,
        scope: Scope | None = None,
    ) -> None:
        """Write chunks; `digests` gives each note's digest and number of chunks.

        Args:
            chunks: What is written, over what has the same id.
            dense: Shape (chunks, dimension).
            sparse: One a chunk.
            digests: Note id → digest, number of chunks.
            scope: Nothing outside it may be written or written over, and no chunk may take the
                place of another patient's or join a note of theirs. Left out by whoever has looked
                at the notes itself.

        Raises:
            StoreError: The vectors do not fit the store or are not finite.
            ScopeError: Outside the scope; nothing was written.
        """
        self._check_vectors(dense)
        if not all(np.isfinite(vector.values).all() for vector in sparse):
            raise StoreError("sparse vectors hold numbers that are not finite")
        if not len(chunks) == len(dense) == len(sparse):
            raise StoreError("each chunk needs one dense and one sparse vector")
        rows = zip(chunks, dense, sparse, strict=True)
        with self._writing:
            if scope is not None:
                self.check_place(chunks, scope=scope)
            while page := list(islice(rows, PAGE)):  # as lists of numbers, vectors are large
                self._write(
                    [
                        (point_id(c.chunk_id), d.tolist(), s, to_payload(c, *digests[c.note_id]))
                        for c, d, s in page
                    ]
                )

    @needs_scope
    def check_place(self, chunks: Sequence[Chunk], *, scope: Scope) -> None:
        """Refuse what is outside the scope, or would replace or join what is not one's own.

        Raises:
            ScopeRequired: No scope.
            ScopeError: A chunk is outside, or its id or note is somebody else's.
        """
        where = narrow(scope)
        owners: dict[str, str | None] = {}
        for chunk in chunks:
            if where is None or not admits(where, to_payload(chunk, "", 0)):
                raise ScopeError(
                    f"{chunk.chunk_id!r} is outside the scope {type(scope).__name__}, by its "
                    "patient_id and encounter_id: nothing was written"
                )
            if owners.setdefault(chunk.note_id, chunk.patient_id) != chunk.patient_id:
                raise ScopeError(
                    f"note {chunk.note_id!r} is given to two patients: nothing was written"
                )
        ids = {chunk.chunk_id: chunk.patient_id for chunk in chunks}
        self._check_owners("id", "chunk_id", ids, where or ())
        self._check_owners("note", "note_id", owners, where or ())

    def _check_owners(
        self, what: str, field: str, owners: Mapping[str, str | None], where: Where
    ) -> None:
        for some in _pages(list(owners)):
            wanted = frozenset(some)
            condition = Chosen(wanted) if field == "chunk_id" else Among(field, wanted)
            for held in self._scroll((condition,), brief=True):
                if owners[held[field]] != held.get(PATIENT) or not admits(where, held):
                    raise ScopeError(
                        f"the {what} {held[field]!r} is taken, by somebody else's text or outside "
                        "the scope that is written to: nothing was written"
                    )

    def drop_stale(self, digests: Mapping[str, str]) -> None:
        """Delete every chunk of these notes that does not bear the note's present digest."""
        stale: list[str] = []
        for some in _pages(list(digests)):
            for payload in self._scroll((Among("note_id", frozenset(some)),), brief=True):
                if payload["digest"] != digests[payload["note_id"]]:
                    stale.append(point_id(payload["chunk_id"]))
        if stale:
            self._erase(stale)

    @needs_scope
    def delete(self, *, scope: Scope, filters: Filters = NO_FILTERS) -> int:
        """Delete the chunks in scope; returns how many. Without filters that is all of them.

        Raises:
            ScopeRequired: No scope.
        """
        where = narrow(scope, filters)
        if where is None:
            return 0
        with self._writing:
            ids = [point_id(p["chunk_id"]) for p in self._inside(self._scroll(where), where)]
            for page in _pages(ids):
                self._erase(page)
        return len(ids)

    def delete_notes(self, note_ids: Sequence[str]) -> int:
        """Delete all chunks of these notes; returns how many chunks went."""
        return self._delete_where("note_id", note_ids)

    def delete_patient(self, patient_id: str) -> int:
        """Delete all chunks of a patient; returns how many chunks went."""
        return self._delete_where("patient_id", [patient_id])

    def purge(self) -> None:  # noqa: B027  (a store in memory keeps no bytes)
        """Let what was deleted leave the files too, where that costs seconds."""

    def compact(self) -> None:
        """Let what was deleted leave the files too, however long it takes.

        Raises:
            StoreError: This kind of store cannot be compacted from outside.
        """
        raise StoreError("only a store in a folder is compacted; a server does it by itself")

    def snapshot(self, file: Path) -> None:
        """Write the whole store into one file, from which `restore` makes it again.

        Raises:
            StoreError: The file exists or cannot be written, or this kind of store has no file.
        """
        raise StoreError("a store in memory has no snapshots")

    def optimise(self) -> None:  # noqa: B027  (only engines with a graph need it)
        """Build what makes searches of a large store fast; may take minutes."""

    def close(self) -> None:  # noqa: B027  (a store in memory has nothing to let go)
        """Flush and let go; a closed store may be closed again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what an engine fills in -------------------------------------------------------------

    @abstractmethod
    def _nearest(
        self, vectors: Vectors, where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        """The k best rows of each vector; `fields`: what is needed of their payloads."""

    @abstractmethod
    def _matching(
        self, vectors: Sequence[SparseVector], where: Where, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        """As `_nearest`."""

    def _groups(
        self, kind: str, vector: Any, where: Where, k: int, per_group: int
    ) -> list[list[Row]]:
        """Best rows of the k best patients, best patient first; engines may know a shorter way."""
        search: Any = self._nearest if kind == "dense" else self._matching
        vectors: Any = vector[None] if kind == "dense" else [vector]
        best = best_patients(lambda rest, limit: search(vectors, rest, limit)[0], where, k)
        return self._rows_of(best, kind, vector, where, per_group)

    def _rows_of(
        self, patients: Sequence[str], kind: str, vector: Any, where: Where, per_group: int
    ) -> list[list[Row]]:
        """The best rows of each of these patients."""
        search: Any = self._nearest if kind == "dense" else self._matching
        vectors: Any = vector[None] if kind == "dense" else [vector]
        return [search(vectors, only(patient, where), per_group)[0] for patient in patients]

    @abstractmethod
    def _scroll(self, where: Where, *, brief: bool = False) -> Iterator[Payload]:
        """Payloads that meet the conditions; `brief`: only the fields of `BRIEF`."""

    @abstractmethod
    def _all(self) -> Iterator[list[Point]]:
        """Everything, some points at a time, in whatever order."""

    def _payloads(self, point_ids: Sequence[str]) -> dict[str, Payload]:
        """Of those of the points that exist; engines may know a way that reads no vectors."""
        return {point[0]: point[3] for point in self._fetch(point_ids)}

    @abstractmethod
    def _fetch(self, point_ids: Sequence[str]) -> list[Point]:
        """Those of the points that exist, in whatever order."""

    @abstractmethod
    def _dense(self, where: Where) -> Iterator[tuple[Payload, Sequence[float]]]:
        """Payloads that meet the conditions, with their dense vectors."""

    @abstractmethod
    def _count(self, where: Where) -> int: ...

    @abstractmethod
    def _facet(self, field: str, where: Where) -> dict[str, int]: ...

    @abstractmethod
    def _write(self, points: Sequence[Point]) -> None: ...

    @abstractmethod
    def _erase(self, point_ids: Sequence[str]) -> None: ...

    # -- checks ------------------------------------------------------------------------------

    def _delete_where(self, field: str, values: Sequence[str]) -> int:
        gone = 0
        for some in _pages(values):
            rows = self._scroll((Among(field, frozenset(some)),), brief=True)
            ids = [point_id(payload["chunk_id"]) for payload in rows]
            for page in _pages(ids):
                self._erase(page)
            gone += len(ids)
        return gone

    def _patients(
        self, kind: str, vector: Any, where: Where, k: int, per_patient: int
    ) -> list[PatientHits]:
        groups = [
            self._hits(rows, where, kind)
            for rows in self._groups(kind, vector, where, k, per_patient)
        ]
        found = [
            PatientHits(hits[0].chunk.patient_id, hits[0].score, tuple(hits)) for hits in groups
        ]
        return sorted(found, key=lambda group: (-group.score, group.hits[0].chunk.chunk_id))

    def _dense_rows(
        self, vectors: Vectors, where: Where | None, k: int, *, fields: Fields = None
    ) -> list[list[Row]]:
        self._check_vectors(vectors)
        if where is None or not len(vectors):
            return [[] for _ in vectors]
        return self._nearest(vectors, where, positive(k), fields=fields)

    def _sparse_rows(
        self,
        vectors: Sequence[SparseVector],
        where: Where | None,
        k: int,
        *,
        fields: Fields = None,
    ) -> list[list[Row]]:
        positive(k)
        rows: list[list[Row]] = [[] for _ in vectors]
        asked = [i for i, vector in enumerate(vectors) if vector.indices]
        if where is not None and asked:
            found = self._matching([vectors[i] for i in asked], where, k, fields=fields)
            for i, some in zip(asked, found, strict=True):
                rows[i] = some
        return rows

    def _ranked(self, rows: Sequence[Row], where: Where, named: bool) -> list[Ranked]:
        if not named:
            points = [Ranked(p.get(POINT) or point_id(p["chunk_id"]), score) for p, score in rows]
            return sorted(points, key=lambda one: (-one.score, one.chunk_id))
        inside = self._inside((payload for payload, _ in rows), where)
        scored = zip(inside, (score for _, score in rows), strict=True)
        ranked = [Ranked(payload["chunk_id"], score) for payload, score in scored]
        return sorted(ranked, key=lambda one: (-one.score, one.chunk_id))

    def _hits(self, rows: Sequence[Row], where: Where, stage: str) -> list[Hit]:
        scores = {payload["chunk_id"]: score for payload, score in rows}
        chunks = [to_chunk(payload) for payload in self._inside((p for p, _ in rows), where)]
        hits = [Hit(c, scores[c.chunk_id], {stage: scores[c.chunk_id]}) for c in chunks]
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.chunk_id))

    def _inside(self, payloads: Iterator[Payload], where: Where) -> Iterator[Payload]:
        for payload in payloads:
            if not admits(where, payload):
                raise ScopeError("the engine returned a chunk outside the scope; it was withheld")
            yield payload

    def _check_vectors(self, vectors: Vectors) -> None:
        dimension = self.manifest["dimension"]
        if vectors.ndim != 2 or vectors.shape[1] != dimension:
            raise StoreError(f"vectors of shape {vectors.shape} in a store of {dimension}-d ones")
        with np.errstate(over="ignore"):
            narrow_enough = np.isfinite(vectors.astype(np.float32)).all()
        if not narrow_enough:
            raise StoreError("vectors hold numbers that are not finite in float32")


def _checked_by(where: Where | None) -> Sequence[str]:
    """The fields of a payload by which the wall checks what an engine returned."""
    return sorted({"chunk_id", *(c.field for c in where or () if not isinstance(c, Chosen))})


def best_patients(search: Callable[[Where, int], Sequence[Row]], where: Where, k: int) -> list[str]:
    """The k patients with the best rows, best first: exact where the search is.

    Asks again without those found until there are enough, each time for four times as many rows.

    Args:
        search: Best rows under conditions, at most so many; payloads need only the patient's id.
        where: Conditions.
        k: At most so many patients.
    """
    best: list[str] = []
    limit = 4 * k
    while len(best) < k:
        rows = search((*where, Except(PATIENT, frozenset(best))), limit)
        best += list(dict.fromkeys(payload[PATIENT] for payload, _ in rows))[: k - len(best)]
        if len(rows) < limit:
            break
        limit = min(4 * limit, MOST)
    return best


def only(patient: str, where: Where) -> Where:
    """The conditions, and of this patient."""
    return (*where, Among(PATIENT, frozenset({patient})))


def of_one_patient(where: Where) -> bool:
    """Whether no chunk but a single patient's can meet the conditions."""
    return any(
        isinstance(one, Among) and one.field == PATIENT and len(one.values) == 1 for one in where
    )


def _pages(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), PAGE):
        yield values[start : start + PAGE]


def _state(payloads: Sequence[Payload]) -> NoteState:
    digests = {payload["digest"] for payload in payloads}
    whole = len(digests) == 1 and len(payloads) == payloads[0]["of"]
    digest = payloads[0]["digest"] if whole else None
    return NoteState(digest, len(payloads), whole, payloads[0].get(PATIENT))
