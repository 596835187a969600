"""Make one ranking of two: by ranks (reciprocal rank fusion) or by relative scores."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from drehr_rag.errors import BadArgument
from drehr_rag.types import Ranked

RRF_K = 60
"""Cormack, Clarke and Büttcher 2009, the constant of reciprocal rank fusion."""

DENSE_SHARE = 0.3
"""Share of the dense score. Chosen on devset/mtsamples, reported on devset/vaers2004
(docs/measurements.md): there it is better than BM25 alone, which plain RRF is not."""

Fusion = Callable[[Mapping[str, Sequence[Ranked]]], list[Ranked]]


def reciprocal_ranks(
    rankings: Mapping[str, Sequence[Ranked]], *, rrf_k: int = RRF_K
) -> list[Ranked]:
    """Score a chunk by the sum of 1 / (60 + rank) over the rankings that have it."""
    return _fused(
        {
            stage: {one.chunk_id: 1 / (rrf_k + rank) for rank, one in enumerate(ranked, 1)}
            for stage, ranked in rankings.items()
        },
        rankings,
    )


def relative_scores(
    rankings: Mapping[str, Sequence[Ranked]],
    *,
    dense_share: float = DENSE_SHARE,
    least: float = 0.0,
) -> list[Ranked]:
    """Score a chunk by 0.3 of its relative cosine and 0.7 of its relative BM25 score.

    BM25 is divided by the best, or by `least` if that is more; zero is no word in common. A cosine
    has no such zero, so it is placed between the worst and the best that were retrieved. A ranking
    without a chunk adds 0.
    """
    dense, lexical = rankings["dense"], rankings["lexical"]
    low = dense[-1].score if dense else 0.0
    reach = (dense[0].score - low) or 1.0 if dense else 1.0
    top = max(least, lexical[0].score if lexical else 0.0) or 1.0
    parts = {
        "dense": {r.chunk_id: dense_share * (r.score - low) / reach for r in dense},
        "lexical": {r.chunk_id: (1 - dense_share) * r.score / top for r in lexical},
    }
    return _fused(parts, rankings)


def by_shares(dense_share: float) -> Fusion:
    """Relative scores with another share of the dense one.

    Raises:
        BadArgument: It is not from 0 to 1.
    """
    if not isinstance(dense_share, int | float) or not 0 <= dense_share <= 1:
        raise BadArgument(f"dense_share is from 0 (words alone) to 1, not {dense_share!r}")
    return partial(relative_scores, dense_share=dense_share)


def _fused(
    parts: Mapping[str, Mapping[str, float]], rankings: Mapping[str, Sequence[Ranked]]
) -> list[Ranked]:
    scores: dict[str, dict[str, float]] = {}
    for stage, ranked in rankings.items():
        for one in ranked:
            if one.chunk_id in scores:
                scores[one.chunk_id][stage] = one.score
            else:
                scores[one.chunk_id] = {stage: one.score}
    totals = dict.fromkeys(scores, 0.0)
    for part in parts.values():
        for chunk_id, score in part.items():
            totals[chunk_id] += score
    order = sorted(totals, key=lambda chunk_id: (-totals[chunk_id], chunk_id))
    return [Ranked(i, totals[i], scores[i]) for i in order]
