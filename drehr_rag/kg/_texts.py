"""Many texts as one blob of UTF-8 and where each begins; found again by hash."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from drehr_rag.kg._csr import Ints

BLOCK = 65_536
"""Texts that are decoded at a time when all are wanted."""


class Texts(NamedTuple):
    """Text `i` is `blob[starts[i] : starts[i + 1]]`.

    Attributes:
        blob: uint8, UTF-8.
        starts: uint64, in files uint32 where that is enough; one more than there are texts.
        hashes: uint64, of the texts' keys, ascending.
        by_hash: uint32, the text that each hash is of.
    """

    blob: Ints
    starts: Ints
    hashes: Ints
    by_hash: Ints

    def __len__(self) -> int:
        """How many texts there are."""
        return int(self.starts.size) - 1

    def text(self, number: int) -> str:
        """Text `number`."""
        begin, end = int(self.starts[number]), int(self.starts[number + 1])
        return bytes(self.blob[begin:end]).decode()

    def with_hash(self, wanted: int) -> list[int]:
        """The numbers of the texts whose key has this hash."""
        value = np.uint64(wanted)
        place = int(np.searchsorted(self.hashes, value))
        found = []
        while place < self.hashes.size and self.hashes[place] == value:
            found.append(int(self.by_hash[place]))
            place += 1
        return found

    def each(self) -> Iterator[str]:
        """Every text, in order."""
        for first in range(0, len(self), BLOCK):
            starts = self.starts[first : first + BLOCK + 1].astype(np.int64).tolist()
            block = bytes(self.blob[starts[0] : starts[-1]])
            for begin, end in pairwise(starts):
                yield block[begin - starts[0] : end - starts[0]].decode()


def index_by_hash(hashes: Ints) -> tuple[Ints, Ints]:
    """The hashes ascending, and which text each is of."""
    order = np.argsort(hashes, kind="stable").astype(np.uint32)
    return hashes[order], order
