"""Texts as strings with one character a word, so that an automaton steps from word to word."""

import re
from array import array
from collections.abc import Iterable
from sys import byteorder

import numpy as np

from drehr_rag.kg._csr import Ints

UNKNOWN = 0
LEFT = 1
"""Stands where a term may begin, where that is not at every edge of a word."""

FIRST = 2
SURROGATES = (0xD800, 0x800)
SINGLE = 0xF0000 - FIRST - SURROGATES[1]
"""Words that have one character; later ones have two, from the two private planes."""

PAIRS, LEAD, TRAIL = 0x110000, 0xF0000, 0x100000

_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_ASCII = re.compile(r"[a-z0-9]+|[^a-z0-9]")
_ANY = re.compile(rf"(?:[^\W_]+[{_MARKS}]*)+|[\W_]")
_RELEASED = re.compile(r"(?<![^ (])|[^\W_]+|[\W_]")


class Words(dict[str, int]):
    """Code of each word that occurs in a term.

    A word is a run of letters and digits, with the accents that combine with them; every other
    character stands alone. Between any two there is an edge, where a term may end.

    Attributes:
        released: Terms begin only at the start and after a space or `(`, marked by `LEFT`.
        space: The code of a space.
    """

    def __init__(self, words: Iterable[str] = (), *, released: bool = False) -> None:
        super().__init__()
        self.released = released
        self.space = as_text(array("I", [self.learn(" ")]))
        for word in words:
            self.learn(word)
        if released:
            self[""] = LEFT

    def __missing__(self, word: str) -> int:
        return UNKNOWN

    def words(self) -> list[str]:
        """Every word, in the order of the codes."""
        return [word for word in self if word]

    def learn(self, word: str) -> int:
        """The code of a word, a new one if it has none."""
        code = self.get(word)
        if code is None:
            code = self[word] = _code(len(self) - ("" in self))
        return code

    def split(self, text: str) -> list[str]:
        """The words of a text in lower case, and "" for `LEFT`."""
        if self.released:
            return _RELEASED.findall(text)
        return (_ASCII if text.isascii() else _ANY).findall(text)

    def encode_term(self, key: str) -> list[int]:
        """A term's codes; its words are learnt."""
        codes = [self.learn(word) for word in self.split(key)]
        if codes[-1] == LEFT:  # after "(": the next term may begin with it
            codes.pop()
        return codes

    def encode(self, text: str) -> str:
        """A text with one character a word, or two if there are more words than characters."""
        return as_text(array("I", map(self.__getitem__, self.split(text))))

    def edges(self, text: str) -> list[int]:
        """Where in the text each character of its code stands."""
        edges, at = [], 0
        for word in self.split(text):
            edges += [at] * (1 + (self[word] >= PAIRS))
            at += len(word)
        return edges


def as_text(codes: "array[int] | Ints") -> str:
    """Codes as characters."""
    numbers = np.asarray(codes)
    if numbers.size and numbers.max() >= PAIRS:
        pairs = numbers >= PAIRS
        numbers = np.repeat(numbers, 1 + pairs)
        at = np.flatnonzero(pairs) + np.arange(np.count_nonzero(pairs))
        high = numbers[at] - PAIRS
        numbers[at], numbers[at + 1] = LEAD + (high >> 16), TRAIL + (high & 0xFFFF)
    return numbers.tobytes().decode("utf-32-le" if byteorder == "little" else "utf-32-be")


def lowered(text: str) -> tuple[str, list[int] | None]:
    """The text in lower case, and where each of its characters was if there are now more.

    `İ` becomes two characters; no other letter does, and none becomes fewer.
    """
    low = text.lower()
    if len(low) == len(text):
        return low, None
    return low, [i for i, character in enumerate(text) for _ in character.lower()] + [len(text)]


def _code(number: int) -> int:
    if number >= SINGLE:
        return PAIRS + number - SINGLE
    place = number + FIRST
    return place if place < SURROGATES[0] else place + SURROGATES[1]
