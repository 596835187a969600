"""How many concepts stand in a ring of is_a."""

import numpy as np

from drehr_rag.kg._csr import Csr, Ints, flip


def in_cycles(parents: Csr) -> int:
    """Concepts that are their own ancestor, or stand between two rings; 0 for a sound hierarchy."""
    up = _peeled(parents, flip(parents))
    down = _peeled(flip(parents), parents)
    return int(np.count_nonzero(up & down))


def _peeled(above: Csr, below: Csr) -> Ints:
    """What is left when nodes without anything above them are taken away, again and again."""
    waiting = np.diff(above.starts.astype(np.int64))
    front = np.flatnonzero(waiting == 0)
    while front.size:
        starts = below.starts[front].astype(np.int64)
        spans = below.starts[front + 1].astype(np.int64) - starts
        ends = np.cumsum(spans)
        take = np.arange(ends[-1]) + np.repeat(starts - (ends - spans), spans)
        hit = below.values[take].astype(np.int64)
        np.subtract.at(waiting, hit, 1)
        front = np.unique(hit[waiting[hit] == 0])
    left: Ints = waiting > 0
    return left
