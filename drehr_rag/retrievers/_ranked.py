"""Hits without their chunks, from retrievers that read chunks whatever is asked."""

from collections.abc import Iterable

from drehr_rag.types import Hit, Ranked


def ranked(found: Iterable[Iterable[Hit]]) -> list[list[Ranked]]:
    """The places of each query's hits."""
    return [[Ranked(hit.chunk.chunk_id, hit.score, hit.scores) for hit in hits] for hits in found]
