"""Bootstrap intervals over queries: between what values would other queries put the mean?"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from drehr_rag.errors import BadArgument
from drehr_rag.eval.comparing._blocks import blocks

Floats = NDArray[np.float64]

NORMAL = NormalDist()


def intervals(
    sums: Floats, sizes: Floats, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Floats:
    """BCa intervals of pooled means, queries being drawn with replacement.

    A query brings all its items (one, or its notes in the single-patient setting): the items of a
    query are not independent, and an interval that drew them one by one would be too narrow. The
    statistic is the sum of sums over the sum of sizes. Bias-corrected and accelerated: Efron and
    Tibshirani, "An Introduction to the Bootstrap" (1993), section 14.3; where the bias cannot be
    corrected (all draws on one side) or nothing varies, the plain percentiles.

    Args:
        sums: Per query and column (a measure or a system), the sum over the query's items:
            shape (queries, columns).
        sizes: How many items each query has: shape (queries,), each at least 1.
        level: Of confidence.
        resamples: How often queries are drawn.
        seed: Of the draws; the columns share them.

    Returns:
        Lower and upper ends, shape (columns, 2); NaN if there are fewer than two queries.
    """
    if not 0 < level < 1 or resamples < 1:
        raise BadArgument(f"level must lie in (0, 1), resamples be positive: {level}, {resamples}")
    queries, columns = sums.shape
    if queries < 2:
        return np.full((columns, 2), np.nan)
    drawn = _drawn(sums, sizes, resamples, seed)
    seen = sums.sum(axis=0) / sizes.sum()
    left_out = (sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None]
    tails = ((1 - level) / 2, (1 + level) / 2)
    ends = [
        np.quantile(drawn[:, c], _corrected(drawn[:, c], seen[c], left_out[:, c], tails))
        for c in range(columns)
    ]
    return np.array(ends).reshape(columns, 2)


def _drawn(sums: Floats, sizes: Floats, resamples: int, seed: int) -> Floats:
    """The statistic of each resample: how often each query was drawn, times what it brings."""
    draw = np.random.default_rng(seed)
    queries = len(sizes)
    brought = np.column_stack([sums, sizes])
    found = []
    for height in blocks(resamples, queries):
        chosen = draw.integers(0, queries, (height, queries))
        chosen += np.arange(height)[:, None] * queries
        counts = np.bincount(chosen.ravel(), minlength=height * queries)
        totals = counts.reshape(height, queries).astype(np.float64) @ brought
        found.append(totals[:, :-1] / totals[:, -1:])
    return np.concatenate(found)


def _corrected(
    drawn: Floats, seen: float, left_out: Floats, tails: tuple[float, float]
) -> tuple[float, float]:
    """Which quantiles of the draws are the interval's ends (equations 14.10, 14.14, 14.15)."""
    near = 1e-12 * (1 + abs(seen))  # a draw that equals what was seen, but for rounding
    below = np.mean(drawn < seen - near) / 2 + np.mean(drawn <= seen + near) / 2
    spread = left_out.mean() - left_out
    scale = (spread**2).sum() ** 1.5
    if not 0 < below < 1 or scale < 1e-30:
        return tails
    bias, skew = NORMAL.inv_cdf(float(below)), float((spread**3).sum() / scale / 6)
    moved = [bias + NORMAL.inv_cdf(tail) for tail in tails]
    lower, upper = (NORMAL.cdf(bias + z / (1 - skew * z)) for z in moved)
    return lower, upper
