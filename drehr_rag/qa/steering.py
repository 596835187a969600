"""Hits of the time that a question asks about move up; none is left out for its time."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from drehr_rag.qa.times import When
from drehr_rag.types import Chunk, Hit, TimeUse

WEIGHT = 0.2
"""What a hit of the very time gains, as a share of its score: relevance goes before time. On the
ward's dev questions neither .1 nor .2 loses evidence among 8 passages (docs/measurements.md)."""

HALF = 0.5
"""Of an admission note, what is not history, when the question asks for the time before."""

_ADMISSION = re.compile(
    r"\badmission|\badmit|\bh ?& ?p\b|history (?:and|&) physical|\bemergency|\btriage|^ed\b", re.I
)
_DISCHARGE = re.compile(r"\bdischarge", re.I)
_HISTORY = re.compile(r"(?!family)(?:.*\bhistory\b|medications$|home\b)", re.I)

Fits = dict[str, float]
"""A chunk's id to how well its time fits, from 0 to 1; absent: it is untouched."""


def steer(hits: Sequence[Hit], asked: Sequence[When]) -> tuple[list[Hit], tuple[TimeUse, ...]]:
    """The hits, re-weighted by the times a question asks about, and what was done.

    Args:
        hits: Best first.
        asked: The question's times; without any, the hits stay as they are.
    """
    fits: Fits = defaultdict(float)
    used = []
    for when in asked:
        own = _fits([hit.chunk for hit in hits], when)
        raised = {name for name, fit in own.items() if fit > 0}
        used.append(TimeUse(when.words, when.prefers, len(raised)))
        for name in raised:
            fits[name] = max(fits[name], own[name])
    weighed = [_weighed(hit, fits[hit.chunk.chunk_id]) for hit in hits]
    return sorted(weighed, key=lambda hit: -hit.score), tuple(used)


def _weighed(hit: Hit, fit: float) -> Hit:
    gain = WEIGHT * fit * max(hit.score, 0.0)
    return (
        replace(hit, score=hit.score + gain, scores={**hit.scores, "time": gain}) if gain else hit
    )


def _fits(chunks: Sequence[Chunk], when: When) -> Fits:
    if when.prefers == "written":
        return {one.chunk_id: 1.0 for one in chunks if _written_then(one.written_at, when)}
    if when.prefers in ("later", "earlier"):
        return _by_order(chunks, latest=when.prefers == "later")
    return _by_kind(chunks, when.prefers)


def _written_then(written: datetime | None, when: When) -> bool:
    return written is not None and all(
        wanted is None or wanted == there
        for wanted, there in (
            (when.year, written.year),
            (when.month, written.month),
            (when.day, written.day),
        )
    )


def _by_order(chunks: Iterable[Chunk], *, latest: bool) -> Fits:
    """From 0 for the one end of a patient's notes among the hits to 1 for the other."""
    fits: Fits = {}
    for group in _grouped(chunks, lambda chunk: chunk.patient_id):
        moments = sorted({_moment(chunk) for chunk in group}, reverse=not latest)
        for chunk in group if len(moments) > 1 else ():
            fits[chunk.chunk_id] = moments.index(_moment(chunk)) / (len(moments) - 1)
    return fits


def _by_kind(chunks: Iterable[Chunk], prefers: str) -> Fits:
    """By type and section; in a stay without such a note, its first or last among the hits."""
    fits: Fits = {}
    for group in _grouped(chunks, lambda chunk: (chunk.patient_id, chunk.encounter_id)):
        own = {one.chunk_id: fit for one in group if (fit := _kind(one, prefers))}
        moments = sorted({_moment(chunk) for chunk in group})
        if not own and len(moments) > 1:
            edge = moments[-1 if prefers == "discharge" else 0]
            own = {one.chunk_id: 1.0 for one in group if _moment(one) == edge}
        fits |= own
    return fits


def _kind(chunk: Chunk, prefers: str) -> float:
    kind, section = chunk.note_type or "", chunk.section or ""
    if prefers == "discharge":
        return float(bool(_DISCHARGE.search(kind) or _DISCHARGE.search(section)))
    if not _ADMISSION.search(kind):
        return 0.0
    return 1.0 if prefers == "admission" or _HISTORY.match(section) else HALF


def _grouped(chunks: Iterable[Chunk], key: Callable[[Chunk], object]) -> Iterable[list[Chunk]]:
    """Those whose notes carry a time: nothing is known of the others."""
    groups: dict[object, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        if chunk.written_at is not None:
            groups[key(chunk)].append(chunk)
    return groups.values()


def _moment(chunk: Chunk) -> float:
    """Zones are compared as if all were one: notes of one hospital have one, or none."""
    return chunk.written_at.replace(tzinfo=None).timestamp() if chunk.written_at else 0.0
