"""No language model: the sentences of the passages that answer best, as they stand."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drehr_rag.protocols import Encoder, GenerationRequest

Split = Callable[[str], list[tuple[int, int]]]

THRESHOLD = 0.4
"""Least score of a sentence that is quoted. Chosen from 0.3 to 0.55 on the ward's dev questions
with the encoder `offline`; reported on the frozen ones (docs/measurements.md)."""

NEAR = 0.9
"""Further sentences are quoted if they reach this share of the best one's score."""

MOST = 3
"""Sentences in an answer."""

_WORD = re.compile(r"[a-z0-9]+(?:[.'-][a-z0-9]+)*")
_STOP = frozenset(
    "a an and any are as at be been being but by can did do does for from get had has have he her "
    "him his how i in into is it its of on or patient patient's per she should so than that the "
    "their them there they this to up was were what when where which while who why will with would "
    "currently ever still now take taking taken given".split()
)


_KIN = re.compile(
    r"\b(family|mother|father|sister|brother|parent|son|daughter|uncle|aunt|cousin|grand\w+)s?\b",
    re.IGNORECASE,
)
"""Words of family history: what a relative had is no answer about the patient."""


def load(*, encoder: Encoder, split: Split, **_: Any) -> "ExtractiveGenerator":
    """A generator that quotes."""
    return ExtractiveGenerator(encoder, split)


class ExtractiveGenerator:
    """Scores each sentence by likeness to the question and by the question's words in it.

    Args:
        encoder: Compares sentences with the question.
        split: Offsets of the sentences in a text.
    """

    def __init__(self, encoder: Encoder, split: Split) -> None:
        """Keep both."""
        self._encoder = encoder
        self._split = split

    def generate(self, request: GenerationRequest) -> str:
        """JSON: the best sentences, each its own quote; none if all score too low."""
        found = [
            (number, passage[start:end])
            for number, passage in enumerate(request.passages, 1)
            for start, end in self._split(passage)
            if _says_something(passage[start:end])
        ]
        best = self._best(request.question, found)
        return json.dumps(
            {"sentences": [{"text": text, "passages": [n], "quote": text} for n, text in best]}
        )

    def _best(self, question: str, found: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        if not found:
            return []
        scores = self.scores(question, [text for _, text in found])
        order = np.argsort(-scores, kind="stable")
        least = max(THRESHOLD, NEAR * float(scores[order[0]]))
        chosen = [i for i in order if scores[i] >= least]
        unique = {" ".join(found[i][1].lower().split()): i for i in reversed(chosen)}
        return [found[i] for i in chosen if i in unique.values()][:MOST]

    def scores(self, question: str, sentences: Sequence[str]) -> Any:
        """Score of each sentence, from about 0 (nothing to do with it) to 1; shape (sentences,)."""
        vector = self._encoder.encode_queries([question])
        likeness = (self._encoder.encode_passages(sentences) @ vector.T)[:, 0]
        wanted = _content_words(question)
        shared = [len(wanted & _content_words(text)) / max(1, len(wanted)) for text in sentences]
        kin = [bool(_KIN.search(text)) and not _KIN.search(question) for text in sentences]
        return np.where(kin, 0.0, 0.5 * likeness + 0.5 * np.array(shared))


def _says_something(sentence: str) -> bool:
    """A bare heading is no answer."""
    return any(c.isalnum() for c in sentence) and not sentence.rstrip().endswith(":")


def _content_words(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP}


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
