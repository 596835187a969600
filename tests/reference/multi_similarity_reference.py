"""Losses of PAPER.md §1 by plain loops in float64, one pair at a time: slow, and easy to read.

Written from the formulas before the package's own losses; it knows nothing of torch, of unique
entities or of counts. A batch is `anchors` (B×d) and `positives` (B×n×d). `excluded` holds
`(i, k, j)`: positive j of chunk k is no negative of anchor i. `hard` maps an anchor to further
negatives of its own (vectors).
"""

import math

import numpy as np

THRESHOLD, MARGIN, SCALE_POS, SCALE_NEG = 0.5, 0.1, 2.0, 50.0
"""PAPER.md: "threshold 0.5, margin 0.1, scale_pos 2, scale_neg 50"."""


def cosine(one, other):
    """Cosine similarity of two vectors."""
    product = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    length = math.sqrt(sum(float(a) ** 2 for a in one))
    return product / (length * math.sqrt(sum(float(b) ** 2 for b in other)))


def similarities(anchors, positives, excluded=(), hard=None):
    """`s_pos` and `s_neg`: for each row a list.

    "The chunk is the anchor, its entities the positives, all positives of the other chunks in the
    batch the negatives."
    """
    s_pos, s_neg = [], []
    for i, anchor in enumerate(anchors):
        s_pos.append([cosine(anchor, positive) for positive in positives[i]])
        row = []
        for k, of_other in enumerate(positives):
            if k == i:
                continue
            for j, entity in enumerate(of_other):
                if (i, k, j) not in excluded:
                    row.append(cosine(anchor, entity))
        row += [cosine(anchor, entity) for entity in (hard or {}).get(i, [])]
        s_neg.append(row)
    return s_pos, s_neg


def mined(s_pos, s_neg):
    """`keep_pos` and `keep_neg`, a truth value a pair.

    "keep_pos = s_pos - 0.1 < max(s_neg of the row)", "keep_neg = s_neg + 0.1 > min(s_pos of the
    row)". The greatest of no negatives is minus infinity: no positive is kept.
    """
    keep_pos, keep_neg = [], []
    for row_pos, row_neg in zip(s_pos, s_neg, strict=True):
        greatest = max(row_neg, default=-math.inf)
        least = min(row_pos)
        keep_pos.append([s - MARGIN < greatest for s in row_pos])
        keep_neg.append([s + MARGIN > least for s in row_neg])
    return keep_pos, keep_neg


def released(anchors, positives, excluded=(), hard=None):
    """The loss as the authors released it.

    "loss = [ 1/2 · log(1 + Σ_all exp(-2 (s_pos·keep_pos - 0.5)))
    + 1/50 · log(1 + Σ_all exp(50 (s_neg·keep_neg - 0.5))) ] / B": "masked pairs count as
    similarity 0 instead of being left out, and one sum runs over the whole batch inside each
    logarithm".
    """
    s_pos, s_neg = similarities(anchors, positives, excluded, hard)
    keep_pos, keep_neg = mined(s_pos, s_neg)
    sum_pos = sum_neg = 0.0
    for i in range(len(anchors)):
        for s, keep in zip(s_pos[i], keep_pos[i], strict=True):
            sum_pos += math.exp(-SCALE_POS * ((s if keep else 0.0) - THRESHOLD))
        for s, keep in zip(s_neg[i], keep_neg[i], strict=True):
            sum_neg += math.exp(SCALE_NEG * ((s if keep else 0.0) - THRESHOLD))
    both = math.log(1 + sum_pos) / SCALE_POS + math.log(1 + sum_neg) / SCALE_NEG
    return both / len(anchors)


def wang2019(anchors, positives, excluded=(), hard=None):
    """Wang et al. 2019: it "leaves masked pairs out and averages a per-anchor logarithm"."""
    s_pos, s_neg = similarities(anchors, positives, excluded, hard)
    keep_pos, keep_neg = mined(s_pos, s_neg)
    total = 0.0
    for i in range(len(anchors)):
        sum_pos = sum_neg = 0.0
        for s, keep in zip(s_pos[i], keep_pos[i], strict=True):
            if keep:
                sum_pos += math.exp(-SCALE_POS * (s - THRESHOLD))
        for s, keep in zip(s_neg[i], keep_neg[i], strict=True):
            if keep:
                sum_neg += math.exp(SCALE_NEG * (s - THRESHOLD))
        total += math.log(1 + sum_pos) / SCALE_POS + math.log(1 + sum_neg) / SCALE_NEG
    return total / len(anchors)


def infonce(anchors, positives, excluded=(), hard=None, temperature=0.05):
    """InfoNCE: the mean over all positives of -log(e^(s/t) / (e^(s/t) + Σ e^(negative/t))).

    The other positives of the same anchor stand on neither side of the fraction.
    """
    s_pos, s_neg = similarities(anchors, positives, excluded, hard)
    values = []
    for row_pos, row_neg in zip(s_pos, s_neg, strict=True):
        below = sum(math.exp(s / temperature) for s in row_neg)
        for s in row_pos:
            own = math.exp(s / temperature)
            values.append(-math.log(own / (own + below)))
    return sum(values) / len(values)


def gradient(function, point, step=1e-6):
    """By central differences, one number of `point` (any shape) at a time."""
    found = np.zeros_like(point)
    for place in np.ndindex(*point.shape):
        higher, lower = point.copy(), point.copy()
        higher[place] += step
        lower[place] -= step
        found[place] = (function(higher) - function(lower)) / (2 * step)
    return found
