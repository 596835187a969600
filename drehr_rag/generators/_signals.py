"""What tells that a sentence answers a question, in numbers; which count how much, is fitted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drehr_rag.generators._wanted import Wanted

NEAR = 0.5
"""What a thing counts that stands in the heading or in a neighbour, beside the sentence itself."""

NAMES = ("near", "chief", "fits", "denies", "kin", "length")
"""Of the signals, in their order:

near: share of what is asked for that it has, or its heading, or the sentence before or after;
    the rarer in the passages the weightier;
chief: how much of the weightiest thing it has;
fits: whether it has what the question's kind wants: a date, a number, a reason, a dose;
denies: whether it denies something, where the question can be answered by no;
kin: whether it is about relatives, and the question is not;
length: logarithm of its characters.
"""

_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"(?i)\b\d{{1,2}}/\d{{1,2}}\b|\b\d{{4}}-\d\d|\b(?:19|20)\d\d\b|\b\d\d:\d\d\b"
    rf"|\b(?:{_MONTH})[a-z]*\b|\b(?:days?|weeks?|wks?|months?|mo|years?|yrs?|hours?|min)\b"
)
_NUMBER = re.compile(r"\d")
_REASON = re.compile(
    r"(?i)\b(?:because|due to|for|since|given|risk|triggers?|related|secondary|attributed|caused?"
    r"|from|effect|after|likely|reason)\b|\([^)]{4,}\)|[:;=]| [-\u2013] "
)
_DOSE = re.compile(
    r"(?i)\b\d[\d,.]* ?(?:mg|mcg|g|units?|mL|puffs?)\b|\b(?:BID|TID|QID|daily|qHS|IV|PO|SC)\b"
)
_DENIAL = re.compile(
    r"(?i)\b(?:no|not|denie[sd]|without|w/o|neg(?:ative)?|never|none|unlikely|excluded|ruled out)\b"
)
_KIN = re.compile(
    r"(?i)\b(?:family|mother|father|sister|brother|parent|son|daughter|uncle|aunt|cousin|grand\w+)s?\b"
)

_KINDS = (
    (
        _DATE,
        r"\b(?:when|date|until|how long|how soon|before or after|how many (?:day|week|month)s)\b",
    ),
    (
        _NUMBER,
        r"\bhow (?:high|low|much|many|large|big|small|far|severe|weak|old|did \w+ \w+ \w+ evolve)\b"
        r"|\b(?:dose|levels?|values?|measur\w+|score|count|area|gradient|size)\b"
        r"|\bwhat (?:is|was|were) (?:his|her|the) (?:\w+ )?(?:last|latest|most recent)\b",
    ),
    (
        _REASON,
        r"\b(?:why|reasons?|rationale|blamed?|brought on|set off|responsible|put down to|because)\b"
        r"|\b(?:caus|trigger|provok|attribut)\w+",
    ),
    (
        _DOSE,
        r"\b(?:which|what)\b.{0,40}\b(?:drugs?|agents?|medic\w+|antibiotics?|anticoagulants?|regimen"
        r"|inhibitors?|blockers?|dose|tablets?|pills?|treatment|biologic)\b",
    ),
)
"""What a sentence should have, and the questions that want it."""

_YES_OR_NO = re.compile(
    r"(?i)(?:was|were|did|does|do|is|are|has|had|have|any|can|could)\b"
    r"|.*, (?:and )?(?:did|was|is|has)\b"
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage.

    Attributes:
        passage: Its number, from 1.
        text: As it stands.
        around: Its heading, the sentences before and after.
    """

    passage: int
    text: str = field(repr=False)
    around: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signals:
    """Of all sentences about one question.

    Attributes:
        table: Shape (sentences, signals), in the order of `NAMES`.
        found: Shape (sentences, things): how far each has each thing.
        weights: Of the things; shape (things,).
    """

    table: Any = field(repr=False)
    found: Any = field(repr=False)
    weights: Any = field(repr=False)


def signals(question: str, asked: Sequence[Wanted], sentences: Sequence[Sentence]) -> Signals:
    """The signals of each sentence.

    Args:
        question: In plain words.
        asked: What it asks for.
        sentences: Of all passages.
    """
    shape = len(sentences), len(asked)
    texts = [one.text for one in sentences]
    found = np.array([[one.found(text) for one in asked] for text in texts]).reshape(shape)
    seen = {text: [one.found(text) for one in asked] for s in sentences for text in s.around}
    around = [np.max([seen[text] for text in one.around], axis=0) for one in sentences]
    near = np.maximum(found, NEAR * np.array(around).reshape(shape))
    weights = _weights(asked, found)
    whole = max(float(weights.sum()), 1e-9)
    chief = (found * weights).max(axis=1, initial=0.0) / max(weights.max(initial=0.0), 1e-9)
    columns = (
        near @ weights / whole,
        chief,
        _fits(question, texts),
        [bool(_YES_OR_NO.match(question) and _DENIAL.search(text)) for text in texts],
        _kin(question, sentences),
        np.log([max(8, len(text)) for text in texts]),
    )
    return Signals(np.stack([np.asarray(c, dtype=float) for c in columns], axis=1), found, weights)


def _weights(asked: Sequence[Wanted], found: Any) -> Any:
    """The rarer in the sentences, the weightier: as BM25's inverse document frequency."""
    rare = np.log((len(found) + 1) / ((found > 0).sum(axis=0) + 0.5))
    return rare * np.array([one.weight for one in asked])


def _fits(question: str, texts: Sequence[str]) -> list[float]:
    """The share of what questions of its kind want."""
    kinds = [has for has, asks in _KINDS if re.search(asks, question.lower())]
    return [sum(bool(has.search(text)) for has in kinds) / max(1, len(kinds)) for text in texts]


def _kin(question: str, sentences: Sequence[Sentence]) -> list[bool]:
    if _KIN.search(question):
        return [False] * len(sentences)
    return [bool(_KIN.search(one.text) or "FAMILY" in one.around[0].upper()) for one in sentences]
