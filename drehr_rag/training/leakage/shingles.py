"""Texts as sets of five words in a row, by which two that were cut at other places are compared."""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
"""Words of a shingle. On the open notes (docs/training-stage2.md) four are mostly idioms ("no known
drug allergies"), and with eight one changed word of a sentence hides all of it."""

WINDOW = 100
"""Words that are compared at a time, as many as a chunk has."""

STEP = 50
"""Words between two windows of a longer text, so that every chunk of it lies to three quarters in
one of them."""

LONGEST = 150
"""Words up to which a text is one window."""

Shingles = NDArray[np.uint64]
"""Different shingles in ascending order, each as 64 bits of its BLAKE2 hash."""

_WORD = re.compile(r"[^\W_]+")
_MARK = re.compile(r"\[[^\[\]]{0,100}\]")
"""De-identification's `[**2151-7-16**]`, also over two lines, and never a stray bracket's pages."""


def words_of(text: str) -> list[str]:
    """The words, without case, punctuation, white space and de-identification's marks.

    A held-out note is compared as it came, a chunk as it was cleaned: what either cleaning drops
    (`[**…**]`, `___`) must not count in the one and lack in the other.
    """
    return _WORD.findall(_MARK.sub("", text).casefold())


def windows(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """The words, or if they are many, stretches of `WINDOW` words every `STEP` words."""
    if len(words) <= LONGEST:
        yield words
        return
    for start in range(0, len(words) - STEP, STEP):
        yield words[start : start + WINDOW]


def shingles(words: Sequence[str]) -> Shingles:
    """Every five words in a row; fewer words than that have none."""
    count = max(len(words) - SHINGLE + 1, 0)
    hashes = (digest(words[start : start + SHINGLE]) for start in range(count))
    return np.unique(np.fromiter(hashes, np.uint64, count))


def digest(words: Sequence[str]) -> int:
    """64 bits by which words in their order are known."""
    return int.from_bytes(blake2b(" ".join(words).encode(), digest_size=8).digest(), "big")
