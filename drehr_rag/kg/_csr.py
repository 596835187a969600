"""Lists of small integers a row, as two flat arrays (compressed sparse rows)."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[Any]


class Csr(NamedTuple):
    """Row `i` is `values[starts[i] : starts[i + 1]]`; `labels`, if any, runs beside `values`.

    Attributes:
        starts: uint64, in files uint32 where that is enough; one more than there are rows.
        values: uint32.
        labels: uint16.
    """

    starts: Ints
    values: Ints
    labels: Ints | None = None

    def row(self, number: int) -> list[int]:
        """The values of a row."""
        found: list[int] = self.values[self._slice(number)].tolist()
        return found

    def labelled(self, number: int) -> list[tuple[int, int]]:
        """The values of a row, each after its label."""
        if self.labels is None:
            return [(0, value) for value in self.row(number)]
        return list(zip(self.labels[self._slice(number)].tolist(), self.row(number), strict=True))

    def _slice(self, number: int) -> slice:
        return slice(int(self.starts[number]), int(self.starts[number + 1]))


def csr(rows: Ints, values: Ints, count: int) -> Csr:
    """Pairs as rows, each pair once, values ascending within a row."""
    packed = np.unique((rows.astype(np.uint64) << np.uint64(32)) | values.astype(np.uint64))
    return Csr(_starts(packed >> np.uint64(32), count), packed.astype(np.uint32))


def csr_first(rows: Ints, values: Ints, last: Ints, count: int) -> Csr:
    """As `csr`; within a row those come first that are once given with `last` false."""
    packed = np.unique(
        (rows.astype(np.uint64) << np.uint64(33))
        | (values.astype(np.uint64) << np.uint64(1))
        | last.astype(np.uint64)
    )
    fresh = np.r_[True, (packed[1:] >> np.uint64(1)) != (packed[:-1] >> np.uint64(1))]
    packed = packed[fresh[: packed.size]]
    value, late = (packed >> np.uint64(1)).astype(np.uint32), packed & np.uint64(1)
    row = packed >> np.uint64(33)
    packed = (row << np.uint64(33)) | (late << np.uint64(32)) | value
    packed.sort()
    return Csr(_starts(packed >> np.uint64(33), count), packed.astype(np.uint32))


def csr_labelled(rows: Ints, labels: Ints, values: Ints, count: int) -> Csr:
    """Triples as rows, each once, ordered by label and value within a row."""
    order = np.lexsort((values, labels, rows))
    rows, labels, values = rows[order], labels[order], values[order]
    fresh = np.ones(rows.size, bool)
    fresh[1:] = (rows[1:] != rows[:-1]) | (labels[1:] != labels[:-1]) | (values[1:] != values[:-1])
    return Csr(
        _starts(rows[fresh], count),
        values[fresh].astype(np.uint32),
        labels[fresh].astype(np.uint16),
    )


def flip(edges: Csr) -> Csr:
    """The same edges from their other ends."""
    starts = edges.starts.astype(np.int64)
    lengths = starts[1:] - starts[:-1]
    sources = np.repeat(np.arange(lengths.size, dtype=np.uint32), lengths)
    return csr(edges.values, sources, lengths.size)


def _starts(rows: Ints, count: int) -> Ints:
    starts = np.zeros(count + 1, np.uint64)
    np.cumsum(np.bincount(rows.astype(np.int64), minlength=count), out=starts[1:])
    return starts
