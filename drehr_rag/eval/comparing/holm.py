"""Holm's correction: many comparisons, one chance in twenty of being fooled by any."""

from collections.abc import Sequence


def holm(values: Sequence[float]) -> list[float]:
    """P-values corrected for how many there are, in the order they came.

    The smallest of m is multiplied by m, the next by m - 1, and so on, and none is less than one
    before it: the chance that any true null hypothesis is rejected stays below the level, however
    the comparisons depend on each other. S. Holm, "A Simple Sequentially Rejective Multiple Test
    Procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    corrected = [1.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, values[place] * (len(values) - rank)))
        corrected[place] = highest
    return corrected
