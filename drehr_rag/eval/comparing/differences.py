"""Two results to a comparison: differences, and how far each may be believed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.comparing.comparison import Comparison, Difference
from drehr_rag.eval.comparing.holm import holm
from drehr_rag.eval.comparing.intervals import intervals
from drehr_rag.eval.comparing.pairing import Floats, Pairs, Part, chosen, paired, refuse_unlike
from drehr_rag.eval.comparing.randomisation import p_value
from drehr_rag.eval.results import Result

SAME = 1e-9
"""Differences of a query below this are rounding."""


def compare(
    a: Result,
    b: Result,
    *,
    parts: Sequence[Part] | None = None,
    seed: int = 0,
    flips: int = 10_000,
) -> Comparison:
    """Compare the second result with the first.

    The unit that is exchanged and drawn is the query, in both settings. In the single-patient
    setting a query has one item for each of its notes; those are not independent (one query, one
    wording, one meaning), so they are exchanged and drawn together, and what is tested is still
    the difference of the means over all items.

    Args:
        a: The baseline.
        b: What is compared with it; swapping the two changes every sign and nothing else.
        parts: What to compare, as `chosen` gives it; by default each measure of each setting over
            all match types. Name all that will be looked at: the correction is over these.
        seed: Of flips and resamples.
        flips: How many of either are drawn.

    Raises:
        EvaluationError: The results are not of the same data, or share no cell.
    """
    refuse_unlike(a, b)
    wanted = list(dict.fromkeys(chosen(a, b) if parts is None else parts))
    if not wanted:
        raise EvaluationError("there is nothing to compare: no part was named")
    pairs = [paired(a, b, part) for part in wanted]
    alone = [p_value(_gains(one), flips=flips, seed=seed) for one in pairs]
    found = zip(wanted, pairs, alone, holm(alone), strict=True)
    differences = tuple(_difference(*one, seed, flips) for one in found)
    left_out = len(a.scores.keys() ^ b.scores.keys())
    names = (a.name, b.name, a.benchmark)
    return Comparison(*names, differences, len(differences), left_out, seed, flips)


def compare_all(
    results: Sequence[Result], *, seed: int = 0, flips: int = 10_000
) -> list[Comparison]:
    """Compare each further result with the first, correcting over all of these comparisons."""
    first, *others = results
    alone = [compare(first, other, seed=seed, flips=flips) for other in others]
    corrected = iter(holm([d.p for comparison in alone for d in comparison.differences]))
    return [
        replace(
            one,
            differences=tuple(replace(d, p_holm=next(corrected)) for d in one.differences),
            tested=sum(len(comparison.differences) for comparison in alone),
        )
        for one in alone
    ]


def _gains(pairs: Pairs) -> Floats:
    """Per query, the sum of differences over its items; rounding is no difference."""
    gains = pairs.b - pairs.a
    gains[np.abs(gains) <= SAME * pairs.sizes] = 0.0
    return gains


def _difference(
    part: Part, pairs: Pairs, p: float, p_holm: float, seed: int, flips: int
) -> Difference:
    gains, items = _gains(pairs), pairs.sizes.sum()
    each = gains / pairs.sizes
    ends = intervals(gains[:, None], pairs.sizes, resamples=flips, seed=seed)[0]
    return Difference(
        part=part,
        a=float(pairs.a.sum() / items),
        b=float(pairs.b.sum() / items),
        difference=float(gains.sum() / items),
        interval=None if np.isnan(ends).any() else (float(ends[0]), float(ends[1])),
        p=p,
        p_holm=p_holm,
        effect=_effect(each),
        better=float(np.mean(each > 0)),
        worse=float(np.mean(each < 0)),
        items=int(items),
        queries=dict(zip(pairs.queries, each.tolist(), strict=True)),
    )


def _effect(each: Floats) -> float | None:
    if len(each) < 2 or np.ptp(each) <= SAME:
        return None
    return float(each.mean() / each.std(ddof=1))
