"""Points that a framework's own Qdrant store wrote; with their vectors, if its encoder is ours."""

from collections.abc import Iterator, Sequence

import numpy as np
from qdrant_client import QdrantClient
from qdrant_client.models import Record

from drehr_rag.encoders._probes import ALIKE
from drehr_rag.errors import BadArgument, EncoderMismatch, StoreMissing
from drehr_rag.protocols import Encoder
from drehr_rag.types import Vectors

PAGE = 1_000
"""Points a request."""

SAMPLE = 32
"""Texts of the first page that are encoded again, spread over it."""


def pages(
    client: QdrantClient, collection: str, *, vectors: bool = False
) -> Iterator[list[Record]]:
    """All points of a collection.

    Raises:
        StoreMissing: There is no such collection.
    """
    if not client.collection_exists(collection):
        raise StoreMissing(f"the server has no collection {collection}")
    offset = None
    while True:
        points, offset = client.scroll(
            collection, limit=PAGE, offset=offset, with_payload=True, with_vectors=vectors
        )
        if points:
            yield points
        if offset is None:
            return


def dense(points: Sequence[Record], name: str | None, dimension: int) -> Vectors:
    """The dense vectors of some points.

    Raises:
        BadArgument: There are several kinds and none was named, or one is of another length.
    """
    return np.array([_dense(point, name, dimension) for point in points], dtype=np.float32)


def check_alike(encoder: Encoder, texts: Sequence[str], vectors: Vectors) -> None:
    """Compare some vectors with what the encoder makes of their texts.

    Raises:
        EncoderMismatch: They are another encoder's, or of other texts.
    """
    some = np.unique(np.linspace(0, len(texts) - 1, SAMPLE).astype(int))
    ours, theirs = encoder.encode_passages([texts[i] for i in some]), vectors[some]
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = (ours * theirs).sum(axis=1) / np.where(lengths == 0, 1, lengths)
    if unlike := int((cosines < ALIKE).sum()):
        raise EncoderMismatch(
            f"{unlike} of {len(some)} sampled vectors are not what {encoder.fingerprint} makes of "
            f"their texts (least cosine {cosines.min():.3f}): open the store with the encoder, "
            "prompts and pooling that made them, or index the texts anew; nothing was written"
        )


def _dense(point: Record, name: str | None, dimension: int) -> list[float]:
    held = point.vector
    if isinstance(held, dict):
        kinds = {key: value for key, value in held.items() if isinstance(value, list)}
        if name is None and len(kinds) != 1:
            raise BadArgument(
                f"the points have vectors {', '.join(sorted(held))}: name one (vector_name=…)"
            )
        held = kinds.get(name) if name is not None else next(iter(kinds.values()))
    if not isinstance(held, list) or (held and isinstance(held[0], list)):
        raise BadArgument(f"point {point.id} has no dense vector{f' {name!r}' if name else ''}")
    if len(held) != dimension:
        raise BadArgument(
            f"the collection's vectors have {len(held)} dimensions, the encoder's {dimension}: "
            "another encoder made them"
        )
    return held  # type: ignore[return-value]
