"""The form that the released code computes: a copy of all negatives for each anchor, in torch.

B × (B·n) × d numbers (PAPER.md §1, faults: "model"). It is what ours must equal, and what
`benchmarks/training_loss.py` is measured against.
"""

import torch
from torch.nn.functional import cosine_similarity


def stacked(anchors, positives):
    """`s_pos` (B×n) and `s_neg` (B×(B-1)n) of anchors (B×d) and positives (B×n×d)."""
    count = len(anchors)
    others = [
        torch.cat([positives[k] for k in range(count) if k != i] or [positives[i][:0]])
        for i in range(count)
    ]
    negatives = torch.stack(others)
    s_pos = cosine_similarity(anchors[:, None], positives, dim=-1)
    return s_pos, cosine_similarity(anchors[:, None], negatives, dim=-1)


def released(anchors, positives):
    """PAPER.md §1, the loss as the authors released it."""
    s_pos, s_neg = stacked(anchors, positives)
    keep_pos = s_pos - 0.1 < s_neg.max(1, keepdim=True).values
    keep_neg = s_neg + 0.1 > s_pos.min(1, keepdim=True).values
    pulled = torch.log(1 + torch.exp(-2 * (s_pos * keep_pos - 0.5)).sum()) / 2
    pushed = torch.log(1 + torch.exp(50 * (s_neg * keep_neg - 0.5)).sum()) / 50
    return (pulled + pushed) / len(anchors)


def wang2019(anchors, positives):
    """Masked pairs left out, a logarithm for each anchor."""
    s_pos, s_neg = stacked(anchors, positives)
    keep_pos = s_pos - 0.1 < s_neg.max(1, keepdim=True).values
    keep_neg = s_neg + 0.1 > s_pos.min(1, keepdim=True).values
    pulled = torch.log(1 + (torch.exp(-2 * (s_pos - 0.5)) * keep_pos).sum(1)) / 2
    pushed = torch.log(1 + (torch.exp(50 * (s_neg - 0.5)) * keep_neg).sum(1)) / 50
    return (pulled + pushed).mean()
