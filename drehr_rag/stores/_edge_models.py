"""Our words in Qdrant Edge's: layouts, conditions, points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import qdrant_edge as q

from drehr_rag.stores._options import Layout, layout_of
from drehr_rag.stores._payload import KEYWORDS, NUMBERS, point_id
from drehr_rag.stores._scoped import Point
from drehr_rag.stores._where import Among, Between, Chosen, Where
from drehr_rag.types import SparseVector

FULL_SCAN = 10_000
"""Kilobytes of vectors up to which a filtered search scans them all (Qdrant's default)."""

QUANTILE = 0.99
"""Share of the numbers inside the range of int8; what Qdrant's documentation advises."""

_DATATYPES = {
    "float32": q.VectorStorageDatatype.Float32,
    "float16": q.VectorStorageDatatype.Float16,
}


def create(manifest: Mapping[str, Any], place: Path) -> Any:
    """A new shard in a folder that does not exist yet, with its payload indexes.

    Texts are kept in memory like the vectors, so far as the system has room: by default the engine
    tells it to forget them, and each that is read after the next opening is read from the disk
    (.14 ms on an NVMe disk, .01 otherwise; Qdrant Edge 0.9).
    """
    layout = layout_of(manifest)
    dense = q.EdgeVectorParams(
        size=manifest["dimension"],
        distance=q.Distance.Cosine,
        datatype=_DATATYPES[layout.precision or "float32"],
        on_disk=layout.on_disk,
        quantization_config=_quantisation(layout),
        hnsw_config=q.HnswIndexConfig(
            m=layout.hnsw_m, ef_construct=layout.hnsw_ef_construct, full_scan_threshold=FULL_SCAN
        ),
    )
    sparse = q.EdgeSparseVectorParams(modifier=q.Modifier.Idf)
    config = q.EdgeConfig(
        vectors={"dense": dense},
        sparse_vectors={"lexical": sparse},
        payload_memory=q.Memory.Cold if layout.on_disk else q.Memory.Cached,
        wal_enabled=True,
    )
    place.mkdir(mode=0o700)
    shard = q.EdgeShard.create(str(place), config)
    for field in KEYWORDS:
        shard.update(q.UpdateOperation.create_field_index(field, _keywords(field)))
    for field in NUMBERS:
        shard.update(q.UpdateOperation.create_field_index(field, q.FloatIndexParams()))
    shard.flush()
    return shard


def takes_changes(shard: Any) -> bool:
    """Whether the engine carries out what it is told, which a damaged log keeps it from.

    It numbers operations by its log and passes over, without a word, those older than the data.
    Where the log was lost or cut the numbers start anew. Asking for an index that is there changes
    nothing but the number.
    """
    before = _version(shard)
    shard.update(q.UpdateOperation.create_field_index("section", _keywords("section")))
    return _version(shard) > before


def _version(shard: Any) -> int:
    """Number of the last operation that a segment carried out."""
    segments = shard.snapshot_manifest().values()
    return max((segment["segment_version"] or 0 for segment in segments), default=0)


def _keywords(field: str) -> Any:
    return q.KeywordIndexParams(is_tenant=field == "patient_id")


def _quantisation(layout: Layout) -> Any:
    if layout.quantisation == "int8":
        return q.ScalarQuantizationConfig(q.ScalarType.Int8, quantile=QUANTILE, always_ram=True)
    return q.BinaryQuantizationConfig(always_ram=True) if layout.quantisation else None


def to_point(record: Any) -> Point:
    """A point as the engine gives it back."""
    lexical = record.vector["lexical"]
    sparse = SparseVector(tuple(lexical.indices), tuple(lexical.values))
    return str(record.id), record.vector["dense"], sparse, record.payload


def put(shard: Any, points: Sequence[Point]) -> None:
    """Write points."""
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


def conditions(where: Where) -> Any:
    """Conditions as a filter; where there are none, no filter.

    An empty filter is checked chunk by chunk: it made lexical search four times slower.
    """
    if not where:
        return None
    must: list[Any] = []
    must_not: list[Any] = []
    for condition in where:
        if isinstance(condition, Chosen):
            must.append(q.HasIdCondition({point_id(chunk) for chunk in condition.values}))
            continue
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
