"""Terms as automata: one, or for a very large graph several, which together find what one would.

Building takes ten times the memory that the automaton keeps (1.3 kB a term, measured), so terms are
dealt out by their first word and built block by block. At each place of a text the terms of one
block only can begin: every block tells all that it finds, and from the left the longest is taken.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from drehr_rag._extras import require
from drehr_rag.kg._csr import Ints
from drehr_rag.kg._words import LEFT, PAIRS, as_text

BLOCK = 1_000_000
"""Terms of one automaton: 1.4 GB while it is built, 160 MB afterwards (`benchmarks.kg_scale`)."""

Found = list[tuple[int, int, int]]
"""Begin, end and number of a term."""


class Automata:
    """Finds coded terms in coded text, leftmost and longest, none overlapping another."""

    def __init__(self, blocks: Sequence[tuple[Any, Ints | None]]) -> None:
        """From automata, each with the numbers of its terms (None: its own)."""
        self._blocks = blocks

    @classmethod
    def build(cls, codes: "array[int]", ends: Ints, *, block: int = BLOCK) -> "Automata":
        """Of terms whose codes stand one behind the other.

        Args:
            codes: All of them.
            ends: Where each term's codes end.
            block: Terms of an automaton.
        """
        library = require("daachorse", extra="kg")
        make, numbers = library.CharwiseDoubleArrayAhoCorasick, np.asarray(codes)
        if ends.size <= block:
            every = list(_texts(numbers, ends, np.arange(ends.size)))
            return cls([(make(every, library.MATCH_KIND_LEFTMOST_LONGEST), None)])
        dealt = _dealt(numbers, ends, block)
        blocks = []
        for one in range(int(dealt.max()) + 1):
            members = np.flatnonzero(dealt == one).astype(np.uint32)
            texts = list(_texts(numbers, ends, members))
            blocks.append((make(texts, library.MATCH_KIND_STANDARD), members))
        return cls(blocks)

    def find(self, text: str) -> Found:
        """What stands in a coded text, from left to right."""
        first, numbers = self._blocks[0]
        if numbers is None:
            found: Found = first.find(text)
            return found
        return _leftmost_longest(self._each(text))

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Each automaton, and the numbers of its terms."""
        for place, (automaton, numbers) in enumerate(self._blocks):
            yield f"automaton {place}", automaton.serialize()
            if numbers is not None:
                yield f"numbers {place}", numbers.tobytes()

    @classmethod
    def restored(cls, parts: Iterable[tuple[bytes, bytes | None]]) -> "Automata":
        """From what `parts` gave, two by two."""
        load = require("daachorse", extra="kg").CharwiseDoubleArrayAhoCorasick.deserialize
        return cls(
            [(load(one), None if n is None else np.frombuffer(n, np.uint32)) for one, n in parts]
        )

    def _each(self, text: str) -> Iterator[tuple[int, int, int]]:
        for automaton, numbers in self._blocks:
            for begin, end, number in automaton.find_overlapping(text):
                yield begin, end, int(numbers[number])  # type: ignore[index]


def _dealt(codes: Ints, ends: Ints, block: int) -> Ints:
    """The block of each term, by its first word: words in the order of their codes, dealt out."""
    begins = np.r_[0, ends[:-1]].astype(np.int64)
    marked = (codes[begins] == LEFT) & (ends - begins > 1)
    first = codes[begins + marked]
    _, place, counts = np.unique(first, return_inverse=True, return_counts=True)
    before: Ints = (np.cumsum(counts) - counts) // block
    compact = np.unique(before, return_inverse=True)[1]
    dealt: Ints = compact[place]
    return dealt


def _texts(codes: Ints, ends: Ints, members: Ints) -> Iterator[str]:
    """Each of these terms with one character a word, or two where there are too many words."""
    if not members.size:
        return
    lengths = np.diff(ends, prepend=0)[members]
    past = np.cumsum(lengths)
    theirs = codes[np.arange(past[-1]) + np.repeat(ends[members] - past, lengths)]
    wide = np.r_[0, np.cumsum(theirs >= PAIRS)]
    text, begin = as_text(theirs), 0
    for end in (past + wide[past]).tolist():
        yield text[begin:end]
        begin = end


def _leftmost_longest(found: Iterable[tuple[int, int, int]]) -> Found:
    longest: dict[int, tuple[int, int]] = {}
    for begin, end, number in found:
        if longest.get(begin, (0, 0))[0] < end:
            longest[begin] = (end, number)
    taken: Found = []
    past = 0
    for begin in sorted(longest):
        if begin >= past:
            past, number = longest[begin]
            taken.append((begin, past, number))
    return taken
