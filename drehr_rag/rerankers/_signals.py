"""What is known of the best hits of a search, as numbers from 0 to 1: more is never worse."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from drehr_rag.notes.folding import Folds, fold, folded
from drehr_rag.types import Hit, MatchKind

Numbers = NDArray[np.float64]
"""One number a hit."""

NAMES = (
    *("base", "dense", "lexical", "expanded"),
    *get_args(MatchKind),
    *("terms", "mentioned", "sentence", "endings", "heading", "recency"),
)
"""Of the signals, as `signals` tells them."""

TERMS = 5
"""Terms of a hit that are told at most (mode `expanded`)."""

ALIKE = 4
"""Letters that two words of one root begin with at least, and by which they differ in length at
most."""

ROOT = 0.7
"""Share of the shorter word that they begin with at least: "vomiting" and "vomited", "pruritus" and
"pruritic", not "hypertension" and "hypertonia"."""

ASKED = 64
"""Words of a query that are looked at."""

_ENDS = re.compile(r"(?<=[.!?;])\s+|\n+")


def signals(query: str, hits: Sequence[Hit], folds: Folds | None = None) -> dict[str, Numbers]:
    """Every signal of the hits of one query; some are relative to the other hits.

    * `base`: the score that the hit has; `dense`: its cosine; both between the worst and the best.
    * `lexical`, `expanded`: its score on that side, divided by the best.
    * `synonym`, `abbreviation`, `hyponym`, `related`, `string`: 1 if it has a match of this kind;
      `terms`: how many matches, of five.
    * `mentioned`: 1 if the query's own words stand in it side by side, or it has a match.
    * `sentence`: the share of the query's words that stand in one sentence of it, a word
      counting the more the fewer of the hits have it; `endings`: the same, in whatever ending.
    * `heading`: the share of the query's words in the heading that it stands under.
    * `recency`: when its note was written, between the oldest, 0, and the newest, 1; 0 for a note
      that carries no time.

    Args:
        query: What was searched for.
        hits: The best of one search.
        folds: Words that were met, which spares folding them again.
    """
    folds = Folds() if folds is None else folds
    asked = list(dict.fromkeys(fold(query)))[:ASKED]
    texts = [_sentences(hit.chunk.text, folds) for hit in hits]
    sentences = [[frozenset(line.split()) for line in text] for text in texts]
    met = frozenset(word for own in sentences for words in own for word in words)
    kinds = [{match.kind for match in hit.matches} for hit in hits]
    phrase = folded(query)
    said = np.array([any(phrase in line for line in text) for text in texts], dtype=float)
    terms = np.array([len(hit.matches) for hit in hits], dtype=float)
    return {
        "base": _between([hit.score for hit in hits]),
        "dense": _between(_known([hit.scores.get("dense") for hit in hits])),
        "lexical": _of_best([hit.scores.get("lexical", 0.0) for hit in hits]),
        "expanded": _of_best([hit.scores.get("expanded", 0.0) for hit in hits]),
        **{kind: np.array([kind in own for own in kinds], float) for kind in get_args(MatchKind)},
        "terms": np.minimum(terms / TERMS, 1.0),
        "mentioned": np.maximum(said, np.minimum(terms, 1.0)),
        "sentence": _covered([frozenset([word]) for word in asked], sentences),
        "endings": _covered([_alike(word, met) for word in asked], sentences),
        "heading": _in_headings(asked, [hit.chunk.section for hit in hits]),
        "recency": _recency([hit.chunk.written_at for hit in hits]),
    }


def _between(values: Sequence[float]) -> Numbers:
    """Between the worst, 0, and the best, 1."""
    if not values:
        return np.zeros(0)
    low, high = min(values), max(values)
    return (np.array(values, dtype=float) - low) / ((high - low) or 1.0)


def _of_best(values: Sequence[float]) -> Numbers:
    shares: Numbers = np.array(values, dtype=float) / (max(values, default=0.0) or 1.0)
    return shares


def _known(values: Sequence[float | None]) -> list[float]:
    """What is not known is taken for the worst that is."""
    least = min((value for value in values if value is not None), default=0.0)
    return [least if value is None else value for value in values]


def _sentences(text: str, folds: Folds) -> list[str]:
    """Each sentence's folded words, spaced; coarse, since a model's numbers rest on it."""
    return [folds.spaced(part) for part in _ENDS.split(text)]


def _covered(
    asked: Sequence[frozenset[str]], sentences: Sequence[Sequence[frozenset[str]]]
) -> Numbers:
    """The best sentence's share of what is asked for, each part weighed by its rarity.

    Args:
        asked: For each word of the query, those that will do for it.
        sentences: The words of each sentence of each hit.
    """
    there = [
        {tuple(not words.isdisjoint(some) for some in asked) for words in own} for own in sentences
    ]
    hits = np.zeros(len(asked))
    for own in there:
        hits += np.any(list(own), axis=0)
    weights = np.log1p(len(sentences) / (1 + hits))
    weights /= weights.sum() or 1.0
    return np.array([(np.array(list(own)) @ weights).max() for own in there], dtype=float)


def _alike(word: str, met: frozenset[str]) -> frozenset[str]:
    """The words that were met which differ from this one in their ending alone."""
    begin = word[:ALIKE]
    near = (other for other in met if other.startswith(begin))
    return frozenset([word, *(other for other in near if of_one_root(word, other))])


def of_one_root(one: str, other: str) -> bool:
    """Whether two words begin alike, so that they may differ in their ending alone."""
    if one == other:
        return True
    if one[:ALIKE] != other[:ALIKE] or abs(len(one) - len(other)) > ALIKE:
        return False
    short = min(len(one), len(other))
    same = next((n for n in range(short) if one[n] != other[n]), short)
    return same >= max(ALIKE, ROOT * short)


def _in_headings(asked: Sequence[str], sections: Sequence[str | None]) -> Numbers:
    words = [frozenset(fold(section or "")) for section in sections]
    return np.array([sum(w in own for w in asked) / (len(asked) or 1) for own in words], float)


def _recency(times: Sequence[datetime | None]) -> Numbers:
    known = [None if time is None else _seconds(time) for time in times]
    there = [second for second in known if second is not None]
    if not there:
        return np.zeros(len(times))
    old, new = min(there), max(there)
    reach = (new - old) or 1.0
    return np.array([0.0 if s is None else 1.0 if new == old else (s - old) / reach for s in known])


def _seconds(time: datetime) -> float:
    """Times without a zone beside those with one: taken for UTC, as nothing better is known."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
