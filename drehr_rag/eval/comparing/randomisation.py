"""The paired randomisation test: how often would chance alone differ as much?"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from drehr_rag.errors import BadArgument
from drehr_rag.eval.comparing._blocks import blocks

EXACT = 12
"""Up to so many queries that differ, all 2^n exchanges are tried (4,096) and none is drawn."""

Floats = NDArray[np.float64]


def p_value(differences: Floats, *, flips: int = 10_000, seed: int = 0) -> float:
    """The two-sided p-value of the paired randomisation (permutation, sign-flip) test.

    The null hypothesis: which of the two systems gave a query which of its two scores is a toss
    of a coin. Its statistic is the sum of the differences, so that dividing by the number of
    queries or of query-note pairs changes nothing. Smucker, Allan and Carterette, "A Comparison
    of Statistical Significance Tests for Information Retrieval Evaluation" (CIKM 2007), whose
    recommendation it is; drawn tosses count the observed one among them, (1 + b) / (1 + m), which
    keeps the test valid (Davison and Hinkley 1997, section 4.2) and p above 0.

    Args:
        differences: One per unit that may be exchanged (a query): what it adds to the statistic.
        flips: How many exchanges are drawn where there are too many to try all.
        seed: Of the draws.

    Returns:
        In (0, 1]; 1 if no query differs.
    """
    if flips < 1:
        raise BadArgument(f"flips must be at least 1, not {flips}")
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    bar = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()  # rounding must not break a tie
    if len(moved) <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(moved))))
        return float(np.mean(np.abs(signs @ moved) >= bar))
    draw = np.random.default_rng(seed)
    beyond = 0
    for height in blocks(flips, len(moved)):
        heads = draw.integers(0, 2, (height, len(moved)), dtype=np.int8)
        beyond += int((np.abs((2.0 * heads - 1.0) @ moved) >= bar).sum())
    return (1 + beyond) / (1 + flips)
