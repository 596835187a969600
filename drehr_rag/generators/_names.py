"""A text as the names that may stand in it: runs of its words without case, signs and endings."""

import re
from collections.abc import Container, Iterator
from functools import lru_cache

LONGEST = 6
"""Words of a name; in the thesaurus 99 of 100 have no more."""

SHOUTED = frozenset("or us er pr ms k na ca st ob all pe ra hit ray mi as ed".split())
"""Abbreviations that are words as well, or too short to be trusted but in capitals."""

MONTHS = (
    "january february march april may june july august september october november december"
).split()

_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"'s\b")
_SIGNS = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) != "*"}
_DATE = re.compile(r"(?<![\d/])(\d{1,2})/\d|\b\d{4}-(\d\d)\b")
_SAVED = ("ss", "us", "is")
_ENDINGS = (
    "ations ation ators ator ated ating ates ate ants ant ances ance ancy ents ent ences ence ency"
    " ions ion ives ive iveness ments ment ness iness ily ically ally ly ical ics ic ial al ious"
    " ous us osis otic isms ism ia ium ings ing ied ies ed es e y"
).split()
_ENDING = re.compile(rf"(?<=\w{{4}})(?:{'|'.join(sorted(_ENDINGS, key=len, reverse=True))})$")
_WHOLE = frozenset("status portal number bleed need feed".split())
"""What would lose its sense with its ending."""


def names(text: str, begun: Container[str]) -> Iterator[str]:
    """Each word as `plain` writes it; where one of `begun`, runs from it; the months of dates.

    Args:
        text: Of a note.
        begun: First words of longer names.
    """
    said = words(text)
    stems = [stem(word.lower()) for word in said]
    for start, word in enumerate(said):
        if word.isupper() or word.lower() not in SHOUTED:
            yield stems[start]
        if stems[start] in begun:
            for end in range(start + 2, min(len(stems), start + LONGEST) + 1):
                yield " ".join(stems[start:end])
    for month in _DATE.findall(text):
        if 1 <= (number := int(month[0] or month[1])) <= 12:
            yield stem(MONTHS[number - 1])


def plain(name: str) -> str:
    """A name as `names` gives it; stars stay.

    >>> plain("Low-molecular-weight heparins") == plain("low molecular weight heparin")
    True
    """
    return " ".join(map(stem, _straight(name.lower()).translate(_SIGNS).split()))


def words(text: str) -> list[str]:
    """The words of a text as they stand, signs and possessive s left out."""
    return _WORD.findall(_straight(text))


def _straight(text: str) -> str:
    text = text.replace("\u2019", "'")
    return _POSSESSIVE.sub("", text) if "'s" in text else text


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without its endings, in American spelling; at least four letters stay.

    >>> stem("anticoagulated") == stem("anticoagulants") == stem("anticoagulation")
    True
    """
    if len(word) < 4 or word in _WHOLE or word[-1] == "*":
        return word
    if len(word) > 4:
        word = word.replace("ae", "e").replace("oe", "e").replace("our", "or")
    if word[-1] == "s" and not word.endswith(_SAVED):
        return stem(word[:-3] + "y" if word.endswith("ies") else word[:-1])
    shorter = _ENDING.sub("", word)
    if shorter != word:
        return stem(shorter)
    return word[:-1] if word[-1] == word[-2] else word
