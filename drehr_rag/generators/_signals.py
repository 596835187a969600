"""What tells that a sentence answers a question, in numbers; which count how much, is fitted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from drehr_rag.generators._wanted import Wanted, found

NEAR = 0.5
"""What a thing counts that stands in the heading or in a neighbour, beside the sentence itself."""

SAYS: Mapping[str, float] = MappingProxyType(
    {"thing": 1.0, "unknown": 0.8, "deed": 0.25, "ordinary": 0.25, "asking": 0.02}
)
"""How much a thing of a kind says of what is asked for. Rounded; values half or twice as large
do no worse on dev and practice by more than chance."""

WIDE = (0.7, 0.5, 0.35, 0.25)
"""What it counts at a distance of one sentence, two, three, four. By judgement, not fitted."""

NAMES = ("near", "wide", "chief", "fits", "denies", "kin", "length")
"""Of the signals, in their order:

near: share of what is asked for that it has, or its heading, or the sentence before or after;
    the rarer in the passages the weightier;
wide: the same of four sentences of the passage on either side, the nearer the more;
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
        says: How much each thing says; shape (things,).
    """

    table: Any = field(repr=False)
    found: Any = field(repr=False)
    says: Any = field(repr=False)


def signals(question: str, asked: Sequence[Wanted], sentences: Sequence[Sentence]) -> Signals:
    """The signals of each sentence.

    Args:
        question: In plain words.
        asked: What it asks for.
        sentences: Of all passages.
    """
    texts = [one.text for one in sentences]
    rows = {
        text: row for row, text in enumerate({*texts, *(t for s in sentences for t in s.around)})
    }
    known = found(asked, list(rows))
    own = known[[rows[text] for text in texts]]
    around = [known[[rows[text] for text in one.around]].max(axis=0) for one in sentences]
    near = np.maximum(own, NEAR * np.array(around).reshape(own.shape))
    says = np.array([SAYS[one.kind] for one in asked])
    weights = says * _rarity(own)
    whole = max(float(weights.sum()), 1e-9)
    chief = (own * weights).max(axis=1, initial=0.0) / max(weights.max(initial=0.0), 1e-9)
    columns = (
        near @ weights / whole,
        _wide(own, [one.passage for one in sentences]) @ weights / whole,
        chief,
        _fits(question, texts),
        [bool(_YES_OR_NO.match(question) and _DENIAL.search(text)) for text in texts],
        _kin(question, sentences),
        np.log([max(8, len(text)) for text in texts]),
    )
    return Signals(np.stack([np.asarray(c, dtype=float) for c in columns], axis=1), own, says)


def _wide(own: Any, passages: Sequence[int]) -> Any:
    """The best of a sentence and those around it in its passage: shape (sentences, things)."""
    best, places = own.copy(), np.array(passages)
    for distance, counts in enumerate(WIDE, 1):
        same = (places[distance:] == places[:-distance])[:, None]
        best[distance:] = np.maximum(best[distance:], counts * same * own[:-distance])
        best[:-distance] = np.maximum(best[:-distance], counts * same * own[distance:])
    return best


def _rarity(own: Any) -> Any:
    """Of each thing, the larger the fewer sentences have it: BM25's inverse document frequency."""
    return np.log((len(own) + 1) / ((own > 0).sum(axis=0) + 0.5))


def _fits(question: str, texts: Sequence[str]) -> list[float]:
    """The share of what questions of its kind want."""
    kinds = [has for has, asks in _KINDS if re.search(asks, question.lower())]
    return [sum(bool(has.search(text)) for has in kinds) / max(1, len(kinds)) for text in texts]


def _kin(question: str, sentences: Sequence[Sentence]) -> list[bool]:
    if _KIN.search(question):
        return [False] * len(sentences)
    return [bool(_KIN.search(one.text) or "FAMILY" in one.around[0].upper()) for one in sentences]
