"""Which concepts are one: sources joined by what maps one's ids to another's."""

from dataclasses import dataclass

import numpy as np

from drehr_rag.kg._csr import Ints
from drehr_rag.kg._spool import Spool


@dataclass(frozen=True, slots=True)
class Joined:
    """Where each id of the sources went.

    Attributes:
        number: For each id its concept; -1 for one of which nothing is known.
        keepers: For each concept the id that it is called by.
        others: Ids that were joined to another, in order.
    """

    number: Ints
    keepers: Ints
    others: Ints


def join(spool: Spool) -> Joined:
    """Join ids that mean the same; the first source that names a concept gives its id."""
    root = np.arange(len(spool.ids), dtype=np.int64)
    for one, other in zip(spool.one, spool.other, strict=True):
        a, b = _find(root, one), _find(root, other)
        root[max(a, b)] = min(a, b)
    for place in np.flatnonzero(root != np.arange(root.size)):
        root[place] = _find(root, int(place))
    return _numbered(root, np.asarray(spool.known, np.uint8), spool)


def _find(root: Ints, place: int) -> int:
    while (up := int(root[place])) != place:
        root[place] = root[up]
        place = up
    return place


def _numbered(root: Ints, known: Ints, spool: Spool) -> Joined:
    """Give each group the first of its ids that has names, else the first of which more is said."""
    named = np.zeros(root.size, bool)
    named[np.asarray(spool.term_concept)] = True
    rank = np.arange(root.size) + root.size * (2 - named.astype(np.int64) - known)
    best = np.full(root.size, np.iinfo(np.int64).max)
    np.minimum.at(best, root, rank)
    alive = best[root] < 2 * root.size
    keeper = best[root] % max(root.size, 1)
    keepers = np.unique(keeper[alive])
    number = np.full(root.size, -1, np.int64)
    number[alive] = np.searchsorted(keepers, keeper[alive])
    others = np.flatnonzero(alive & (keeper != np.arange(root.size)))
    return Joined(number, keepers, others)
