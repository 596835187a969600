"""Whether terms stand in a passage as phrases, not as a bag of their words."""

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import islice

from drehr_rag.kg.senses import AROUND, cues_of
from drehr_rag.notes.folding import RESPELT, Folds, fold, folded, spaced, words
from drehr_rag.retrievers._expansion import Term

KEPT = 16_384
"""Phrases that are kept as they are compared."""

MENTIONS = 8
"""Mentions of an abbreviation in one text whose surroundings are looked at."""

_TAIL = re.compile("s?(?:['\u2019]s)?")
_BETWEEN = re.compile(r"[\W_]+")


class Passage:
    """A text that is asked for phrases; its words are read only if one may stand in it.

    Attributes:
        text: As it is.
        small: In small letters.
        heading: Of its section.
    """

    def __init__(self, text: str, folds: Folds, heading: str | None = None) -> None:
        """Nothing is read yet; `folds` are words that were met."""
        self.text = text
        self.heading = heading or ""
        self.small = text.lower()
        self._folds = folds

    def has(self, phrase: str, *, exact: bool) -> bool:
        """Whether a spaced phrase stands in it, as written or folded."""
        text = self.text if exact else self.small
        if not may_stand(phrase, text):
            return False
        return _stands(phrase.strip(), text) or phrase in (self._written if exact else self._plain)

    def cues(self, short: str) -> Iterator[set[str]]:
        """What stands around each mention of an abbreviation as written, the first few."""
        said = self._written.split()
        heading = self._folds.spaced(self.heading).split()
        for at in islice((at for at, word in enumerate(said) if word == short), MENTIONS):
            near = said[max(0, at - AROUND) : at] + said[at + 1 : at + 1 + AROUND]
            yield cues_of(" ".join(self._folds[word] for word in near).split(), heading)

    @cached_property
    def _plain(self) -> str:
        return self._folds.spaced(self.text)

    @cached_property
    def _written(self) -> str:
        return spaced(words(self.text))


def may_stand(phrase: str, text: str) -> bool:
    """Whether a text has the letters of each word; most texts have not, and are not read further.

    A word that may be spelt otherwise there is taken for granted.
    """
    return all(word in text for word in _sure(phrase))


def _stands(phrase: str, text: str) -> bool:
    """Whether it stands there letter by letter as whole words, which spares reading the words."""
    start = text.find(phrase)
    while start >= 0:
        if not (
            _goes_on(text[start - 1 : start])
            or _goes_on(text[(end := start + len(phrase)) : end + 1])
        ):
            return True
        start = text.find(phrase, start + 1)
    return False


def _goes_on(letter: str) -> bool:
    return letter.isalnum() or letter in ("'", "\u2019")


def places(phrase: str, text: str, *, exact: bool) -> list[tuple[int, int]] | None:
    """Where a spaced phrase stands, found by its letters, which spares reading the other words.

    None: what stands there must be read word by word to be sure. Without `exact` the text is in
    small letters and the phrase folded: its words may have an s more in the text.
    """
    wanted = _sure(phrase)
    if wanted != tuple(phrase.split()):
        return None
    found = []
    start = text.find(wanted[0])
    while start >= 0:
        if not text[start - 1 : start].isalnum():
            end = _end(wanted, text, start, exact)
            if end is not None and not text[end : end + 1].isalnum():
                inside = text[start:end]
                same = words(inside) if exact else fold(inside)
                if _joined(text, start - 1) or _joined(text, end) or spaced(same) != phrase:
                    return None
                found.append((start, end))
        start = text.find(wanted[0], start + 1)
    return found


def _end(wanted: tuple[str, ...], text: str, at: int, exact: bool) -> int | None:
    """Where the words end that begin here, if each follows the other."""
    for number, word in enumerate(wanted):
        if number:
            between = _BETWEEN.match(text, at)
            if between is None:
                return None
            at = between.end()
        if not text.startswith(word, at):
            return None
        at += len(word)
        if not exact and (tail := _TAIL.match(text, at)):
            at = tail.end()
    return at


def _joined(text: str, at: int) -> bool:
    """Whether an apostrophe here may make one word of what stands around it."""
    return at >= 0 and text[at : at + 1] in ("'", "\u2019")


def phrase_of(term: Term) -> str:
    """The spaced words that are looked for: as written where capitals matter."""
    return _phrase(term.text, term.exact)


@lru_cache(KEPT)
def _phrase(text: str, exact: bool) -> str:
    return spaced(words(text)) if exact else folded(text)


@lru_cache(KEPT)
def _sure(phrase: str) -> tuple[str, ...]:
    return tuple(word for word in phrase.split() if not RESPELT.search(word))
