"""ROUGE-L: the longest common subsequence of words, as an F1 (Lin 2004).

Words and formula are those of Google's `rouge-score` 0.1.2 with `use_stemmer=False`, which is not
a dependency: its last release is of 2022 and brings nltk and absl for these twenty lines. The
tests hold its values.
"""

import re

_WORD = re.compile(r"[a-z0-9]+")


def rouge_l(said: str, accepted: str) -> float:
    """F1 over the longest common subsequence; 0 if either has no word."""
    ours, theirs = _WORD.findall(said.lower()), _WORD.findall(accepted.lower())
    if not ours or not theirs:
        return 0.0
    return 2 * _common(ours, theirs) / (len(ours) + len(theirs))


def _common(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time."""
    row = [0] * (len(right) + 1)
    for word in left:
        above = row
        row = [0]
        for column, other in enumerate(right, 1):
            longest = max(above[column], row[-1])
            row.append(above[column - 1] + 1 if word == other else longest)
    return row[-1]
