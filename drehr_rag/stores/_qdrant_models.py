"""Our words in `qdrant_client`'s: layouts, search parameters, conditions, points."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from qdrant_client import models

from drehr_rag.stores._options import Access, Layout
from drehr_rag.stores._payload import point_id
from drehr_rag.stores._scoped import Point
from drehr_rag.stores._where import Among, Between, Chosen, Where
from drehr_rag.types import SparseVector

REQUEST_BYTES = 4 * 2**20
"""Qdrant refuses requests over 32 MiB and its makers advise under 5 MB (ECOSYSTEM.md §2.2)."""

QUANTILE = 0.99
"""Share of the numbers inside the range of int8; what Qdrant's documentation advises."""

NUMBER_BYTES = 20
"""A number as JSON text, with its comma."""


def collection(layout: Layout, dimension: int) -> dict[str, Any]:
    """Arguments of `create_collection`."""
    dense = models.VectorParams(
        size=dimension,
        distance=models.Distance.COSINE,
        datatype=models.Datatype(layout.precision),
        on_disk=layout.on_disk,
    )
    sparse = models.SparseVectorParams(modifier=models.Modifier.IDF)
    return {
        "vectors_config": {"dense": dense},
        "sparse_vectors_config": {"lexical": sparse},
        "hnsw_config": models.HnswConfigDiff(
            m=layout.hnsw_m, ef_construct=layout.hnsw_ef_construct
        ),
        "quantization_config": _quantisation(layout),
        "shard_number": layout.shards,
        "replication_factor": layout.replicas,
        "write_consistency_factor": layout.write_consistency,
    }


def _quantisation(layout: Layout) -> Any:
    if layout.quantisation == "int8":
        scalar = models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=QUANTILE, always_ram=True
        )
        return models.ScalarQuantization(scalar=scalar)
    if layout.quantisation == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


def search_params(layout: Layout, access: Access, *, exact: bool) -> models.SearchParams:
    """Parameters of a search; what the copy finds is scored again by the vectors themselves."""
    quantised = layout.quantisation is not None
    return models.SearchParams(
        exact=exact,
        hnsw_ef=None if exact else access.hnsw_ef,
        quantization=models.QuantizationSearchParams(
            ignore=exact, rescore=True, oversampling=access.oversampling
        )
        if quantised
        else None,
    )


def conditions(where: Where) -> models.Filter | None:
    """Conditions as a filter; none where there are none: an empty one would look at every chunk."""
    if not where:
        return None
    must: list[Any] = []
    must_not: list[Any] = []
    for condition in where:
        if isinstance(condition, Chosen):
            ids: list[Any] = [point_id(chunk) for chunk in sorted(condition.values)]
            must.append(models.HasIdCondition(has_id=ids))
            continue
        field = condition.field
        if isinstance(condition, Among):
            match = models.MatchAny(any=sorted(condition.values))
            must.append(models.FieldCondition(key=field, match=match))
        elif isinstance(condition, Between):
            bounds = models.Range(gte=condition.low, lte=condition.high)
            must.append(models.FieldCondition(key=field, range=bounds))
        else:
            must_not.append(models.IsEmptyCondition(is_empty=models.PayloadField(key=field)))
            if condition.values:
                match = models.MatchAny(any=sorted(condition.values))
                must_not.append(models.FieldCondition(key=field, match=match))
    return models.Filter(must=must or None, must_not=must_not or None)


def sparse(vector: SparseVector) -> models.SparseVector:
    """A sparse vector."""
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def batches(points: Sequence[Point]) -> Iterator[list[models.PointStruct]]:
    """Points in requests of bounded size; one alone may pass the bound."""
    batch: list[models.PointStruct] = []
    size = 0
    for name, dense, lexical, payload in points:
        vector: dict[str, Any] = {"dense": list(dense), "lexical": sparse(lexical)}
        numbers = len(dense) + 2 * len(lexical.indices)
        own = NUMBER_BYTES * numbers + len(json.dumps(payload))
        if batch and size + own > REQUEST_BYTES:
            yield batch
            batch, size = [], 0
        size += own
        batch.append(models.PointStruct(id=name, vector=vector, payload=payload))
    if batch:
        yield batch


def to_point(record: models.Record) -> Point:
    """A point as the server gives it back."""
    vectors: Any = record.vector
    lexical = vectors["lexical"]
    return (
        str(record.id),
        vectors["dense"],
        SparseVector(tuple(lexical.indices), tuple(lexical.values)),
        dict(record.payload or {}),
    )
