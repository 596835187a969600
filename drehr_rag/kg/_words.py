"""Texts as strings with one character a word, so that an automaton steps from word to word."""

import re
from collections.abc import Iterable
from itertools import accumulate

UNKNOWN = "\0"
LEFT = "\1"
"""Stands where a term may begin, where that is not at every edge of a word."""

FIRST = 2
SURROGATES = (0xD800, 0x800)
PLANE = 0x10000
SINGLE = 0xF0000 - FIRST - SURROGATES[1]
"""Words with a code of one character; later ones have two, from two private planes."""

_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_ASCII = re.compile(r"[a-z0-9]+|\s+|[^a-z0-9\s]")
_ANY = re.compile(rf"(?:[^\W_]+[{_MARKS}]*)+|\s+|[\W_]")
_RELEASED = re.compile(r"(?<![^ (])|[^\W_]+|[\W_]")


class Words(dict[str, str]):
    """Code of each word that occurs in a term.

    A word is a run of letters and digits, with the accents that combine with them; every other
    character stands alone. Between any two there is an edge, where a term may end.

    Attributes:
        released: Terms begin only at the start and after a space or `(`, marked by `LEFT`, and
            white space is taken character by character. Otherwise a run of white space is one
            space, unless it holds an empty line, which no term goes across.
    """

    def __init__(self, words: Iterable[str] = (), *, released: bool = False) -> None:
        super().__init__()
        self.released = released
        for word in words:
            self.learn(word)
        if released:
            self[""] = LEFT

    def __missing__(self, word: str) -> str:
        if not self.released and word.isspace() and word.count("\n") < 2:
            return self.get(" ", UNKNOWN)
        return UNKNOWN

    def words(self) -> list[str]:
        """Every word, in the order of the codes."""
        return [word for word in self if word]

    def learn(self, word: str) -> str:
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

    def encode_term(self, key: str) -> str:
        """A term's codes; its words are learnt."""
        codes = [self.learn(word) for word in self.split(key)]
        return "".join(codes).rstrip(LEFT)  # after "(": the next term may begin with it

    def encode(self, words: list[str]) -> str:
        """A text's codes."""
        return "".join(map(self.__getitem__, words))

    def edges(self, words: list[str]) -> list[int]:
        """Where in the text each code begins, and the text's end."""
        if len(self) <= SINGLE:
            return list(accumulate(map(len, words), initial=0))
        places = [0]
        for word in words:
            places += [places[-1]] * (len(self[word]) - 1)
            places.append(places[-1] + len(word))
        return places


def lowered(text: str) -> tuple[str, list[int] | None]:
    """The text in lower case, and where each of its characters was if there are now more.

    `İ` becomes two characters; no other letter does, and none becomes fewer.
    """
    low = text.lower()
    if len(low) == len(text):
        return low, None
    return low, [i for i, character in enumerate(text) for _ in character.lower()] + [len(text)]


def _code(number: int) -> str:
    if number < SINGLE:
        place = number + FIRST
        return chr(place if place < SURROGATES[0] else place + SURROGATES[1])
    lead, trail = divmod(number - SINGLE, PLANE)
    return chr(0xF0000 + lead) + chr(0x100000 + trail)
