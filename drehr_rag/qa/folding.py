"""Text without what does not matter to a quote, and the way back to the original."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_ALIKE = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}
    | {"‹": "<", "［": "["}  # as `prompt.py` shows these two
)

_INVISIBLE = {"Cf"}
"""Category of the characters that nobody sees: zero-width, of direction."""

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Folded:
    """In small letters, with single spaces, usual quotation marks and dashes.

    Attributes:
        text: What is searched.
        places: For each of its characters, the place of the original's that it comes from.
    """

    text: str = field(repr=False)
    places: tuple[int, ...] = field(repr=False)

    def find(self, words: str) -> Iterator[tuple[int, int]]:
        """Where whole words stand in the original, from left to right; `words` is folded."""
        if not words:
            return
        # Whole words and numbers: no "no PE" in "no pericardial …", no "5 mg" in "2.5 mg".
        before = r"(?<!\w)(?<!\d[.,])(?<!\w-)" if re.match(r"\w", words) else ""
        after = r"(?!\w)(?![.,]\d)(?!-\w)" if re.search(r"\w$", words) else ""
        for found in re.finditer(f"{before}{re.escape(words)}{after}", self.text):
            yield self.places[found.start()], self.places[found.end() - 1] + 1


def plain(text: str) -> str:
    """`fold(text).text`, much faster where every character is one of ASCII."""
    return " ".join(text.lower().split()) if text.isascii() else fold(text).text


def fold(text: str) -> Folded:
    """The text as it is compared."""
    words: list[str] = []
    places: list[int] = []
    for word in _WORD.finditer(text):
        start = word.start()
        letters, own = (
            (word[0].lower(), range(start, word.end()))
            if word[0].isascii()
            else (_plain(word[0], start))
        )
        if letters:
            if words:
                places.append(start - 1)
            words.append(letters)
            places.extend(own)
    return Folded(" ".join(words), tuple(places))


def _plain(word: str, start: int) -> tuple[str, Sequence[int]]:
    """One character may become several: "ß" is "ss", "㎎" is "mg"."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(word, start):
        if unicodedata.category(character) not in _INVISIBLE:
            alike = unicodedata.normalize("NFKC", character).casefold().translate(_ALIKE)
            letters.append(alike)
            places += [place] * len(alike)
    return "".join(letters), places
