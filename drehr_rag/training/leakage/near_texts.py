"""Held-out texts, to be asked which of them a text resembles: MinHash finds, counting confirms."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from drehr_rag._extras import require
from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.leakage.shingles import Shingles, digest, shingles, windows, words_of
from drehr_rag.training.leakage.sources import HeldOut

THRESHOLD = 0.4
"""Share of the smaller text's shingles that both have. A chunk of 100 words that was cut at another
place than the held-out chunks of its note shares 0.48 or more with one of them; below 0.4 stand
other patients' notes from one author's phrases (docs/training-stage2.md has counts)."""

LEAST = 8
"""Shingles that both must have, twelve words in a row: fewer are idioms ("the pt developed chicken
pox"), whatever share of a short text they are."""

COMMON = 3
"""Notes of the held-out ones from which on a shingle that they share is said to be a template's."""

SHORT = 50
"""Words of a text below which it is compared once more, joined with its note's other short ones:
a benchmark may be cut into sections of a few words, of which a chunk of 100 holds many."""

PERMUTATIONS = 128
"""MinHash values of a text, each a band of its own: a pair with Jaccard similarity s is found with
probability 1 - (1 - s)^128. Two chunks at the threshold have s = 0.25, found but for one in 10^15;
the least that counts, twelve words within a text of 100, has 0.083, but for one in 70,000 (64 would
miss one in 260), and within one of 150 has 0.055, but for one in 1,400. Texts that share nothing
are found as rarely as hashes collide; wider bands, which serve to find fewer, would only lose."""


@dataclass(frozen=True, slots=True)
class Resemblance:
    """The held-out text that a text resembles most.

    Attributes:
        held_out: Its id.
        source: What it is held out for.
        overlap: Share of the smaller text's shingles that both have; 1 for equal texts.
        template: Whether most of what both have stands in several held-out notes too.
    """

    held_out: str
    source: str
    overlap: float
    template: bool


class NearTexts:
    """An index of held-out texts.

    Attributes:
        threshold: As given.
        sha256: Over ids and texts, one after the other: what a manifest knows them by.

    Args:
        texts: What is held out.
        threshold: The least share that makes two texts alike.

    Raises:
        BadArgument: The threshold is no share.
        TrainingError: There is no text.
        MissingExtra: datasketch is not installed.
    """

    def __init__(self, texts: Iterable[HeldOut], *, threshold: float = THRESHOLD) -> None:
        """Index them."""
        if not 0 < threshold <= 1:
            raise BadArgument(f"the threshold of leakage is above 0 and up to 1, not {threshold}")
        library = require("datasketch", extra="train")
        self.threshold = threshold
        self._empty = library.MinHash(PERMUTATIONS, hashfunc=_low_bits)
        self._index = library.MinHashLSH(num_perm=PERMUTATIONS, params=(PERMUTATIONS, 1))
        self._held: list[HeldOut] = []
        self._sets: list[Shingles] = []
        self._rows: list[int] = []
        self._equal: dict[int, int] = {}
        self.sha256 = ""
        short: dict[tuple[str, str], list[tuple[int, Sequence[str]]]] = {}
        for text in texts:
            self._add(text, short)
        for parts in short.values():
            if len(parts) > 1:
                self._index_words(parts[0][0], [word for _, words in parts for word in words])
        if not self._held:
            raise TrainingError("no text is held out: there is nothing to compare with")
        self._common = self._in_several_notes()

    @property
    def counts(self) -> dict[str, int]:
        """How many texts are held out for what."""
        return dict(Counter(held.source for held in self._held))

    def find(self, text: str) -> Resemblance | None:
        """The one that the text resembles most, a copy before a template; None if it is like none.

        What is returned was counted, not estimated.
        """
        words = words_of(text)
        if (row := self._equal.get(digest(words))) is not None:
            return self._resemblance(row, 1.0, False)
        found = [one for part in windows(words) for one in self._alike(shingles(part))]
        return max(found, key=lambda one: (not one.template, one.overlap), default=None)

    def _alike(self, own: Shingles) -> Iterable[Resemblance]:
        if len(own) < LEAST:
            return
        for candidate in sorted(self._index.query(self._minhash(own))):
            other = self._sets[candidate]
            both = np.intersect1d(own, other, assume_unique=True)
            overlap = len(both) / min(len(own), len(other))
            if len(both) >= LEAST and overlap >= self.threshold:
                common = int(np.isin(both, self._common, assume_unique=True).sum())
                yield self._resemblance(self._rows[candidate], overlap, common * 2 > len(both))

    def _resemblance(self, row: int, overlap: float, template: bool) -> Resemblance:
        held = self._held[row]
        return Resemblance(held.key, held.source, overlap, template)

    def _add(
        self, held: HeldOut, short: dict[tuple[str, str], list[tuple[int, Sequence[str]]]]
    ) -> None:
        words = words_of(held.text)
        if not words:
            return
        row = len(self._held)
        known = f"{self.sha256}\n{held.key}\n{held.text}".encode(errors="surrogatepass")
        self.sha256 = sha256(known).hexdigest()
        self._held.append(HeldOut(held.key, held.note_id, "", held.source))
        self._equal.setdefault(digest(words), row)
        self._index_words(row, words)
        if len(words) < SHORT:
            short.setdefault((held.source, held.note_id), []).append((row, words))

    def _index_words(self, row: int, words: Sequence[str]) -> None:
        for part in windows(words):
            own = shingles(part)
            if len(own) >= LEAST:
                self._index.insert(len(self._sets), self._minhash(own))
                self._sets.append(own)
                self._rows.append(row)

    def _minhash(self, own: Shingles) -> Any:
        made = self._empty.copy()
        made.update_batch(own)
        return made

    def _in_several_notes(self) -> Shingles:
        notes: dict[str, list[Shingles]] = {}
        for row, own in zip(self._rows, self._sets, strict=True):
            notes.setdefault(self._held[row].note_id, []).append(own)
        every = [np.unique(np.concatenate(some)) for some in notes.values()]
        found, counts = np.unique(np.concatenate([*every, _NONE]), return_counts=True)
        return found[counts >= COMMON]


_NONE = np.zeros(0, np.uint64)


def _low_bits(value: np.uint64) -> int:
    """The 32 bits that MinHash permutes."""
    return int(value) & 0xFFFFFFFF
