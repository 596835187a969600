"""Whether the passages that were read hold the evidence."""

from collections.abc import Sequence

from drehr_rag.eval.qa.scores.spans import Place, shared, size, spans_of

ENOUGH = 0.5
"""Share of a piece of evidence that passages must cover for it to count as found: a passage may
end within it, but the greater part of its words must have been read."""


def found(evidence: Place, passages: Sequence[Place]) -> bool:
    """Whether the passages together cover enough of one piece of evidence."""
    wanted = spans_of([evidence])
    return shared(wanted, spans_of(passages)) >= ENOUGH * size(wanted)


def recall_at(k: int, evidence: Sequence[Place], passages: Sequence[Place]) -> float:
    """Share of the pieces of evidence that the first k passages hold; there must be one."""
    return sum(found(piece, passages[:k]) for piece in evidence) / len(evidence)


def hit_at(k: int, evidence: Sequence[Place], passages: Sequence[Place]) -> float:
    """1 if the first k passages hold any of the evidence, else 0."""
    return float(any(found(piece, passages[:k]) for piece in evidence))
