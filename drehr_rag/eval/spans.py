"""Judged stretches of notes, projected onto whatever chunks the notes are cut into.

A chunk is relevant when it covers at least half of a judged stretch. So one set of judgments can
rank chunkers, with a bias that is counted: longer chunks cover more stretches each, shorter ones
may cover none of a long stretch by half.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.task import Judgment
from drehr_rag.protocols import Chunker
from drehr_rag.types import Chunk, Note

HALF = 0.5
"""Share of a stretch that makes the chunk relevant."""


@dataclass(frozen=True, slots=True)
class Span:
    """The words `note.text[start:end]`, judged relevant to a query."""

    query_id: str
    note_id: str
    start: int
    end: int
    match: str | None = None


@dataclass(frozen=True)
class Projection:
    """Judgments of chunks, and what became of the judged stretches.

    Attributes:
        qrels: Query id → chunk id → judgment.
        lost: Stretches that no chunk covers by half.
        chunks_a_span: Chunks that one stretch makes relevant, on average.
    """

    qrels: dict[str, dict[str, Judgment]]
    lost: int
    chunks_a_span: float


def project(
    spans: Sequence[Span], chunks: Sequence[Chunk], lengths: Mapping[str, int]
) -> Projection:
    """Judge chunks by the stretches that they cover.

    A chunk that covers stretches of several match types is of the one it covers most of; of two
    it covers alike, the first judged.

    Args:
        spans: What was judged.
        chunks: All chunks of the notes.
        lengths: Note id → characters of its text.

    Raises:
        EvaluationError: A stretch lies outside its note, or in a note that is not there.
    """
    outside = [s for s in spans if not 0 <= s.start < s.end <= lengths.get(s.note_id, -1)]
    if outside:
        raise EvaluationError(
            f"{len(outside):,} of {len(spans):,} judged stretches lie outside the notes, the first "
            f"in note {outside[0].note_id!r}: notes of another version?"
        )
    of_note: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        of_note[chunk.note_id].append(chunk)
    best: dict[tuple[str, str], tuple[float, str | None]] = {}
    lost = made = 0
    for span in spans:
        covering = [
            (chunk.chunk_id, share)
            for chunk in of_note[span.note_id]
            if (share := _covered(span, chunk)) >= HALF
        ]
        lost += not covering
        made += len(covering)
        for chunk_id, share in covering:
            held = best.get((span.query_id, chunk_id))
            if held is None or share > held[0]:
                best[span.query_id, chunk_id] = share, span.match
    qrels: dict[str, dict[str, Judgment]] = defaultdict(dict)
    for (query_id, chunk_id), (_, match) in best.items():
        qrels[query_id][chunk_id] = Judgment(match=match)
    return Projection(dict(qrels), lost, made / max(1, len(spans) - lost))


def split_notes(notes: Sequence[Note], chunker: Chunker) -> list[Chunk]:
    """The chunks of all notes, in order."""
    return [chunk for chunks in chunker.split(notes) for chunk in chunks]


def _covered(span: Span, chunk: Chunk) -> float:
    return (min(span.end, chunk.end) - max(span.start, chunk.start)) / (span.end - span.start)
