"""No language model: the sentences of the passages that answer best, as they stand."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from drehr_rag.generators._signals import NAMES, Sentence, Signals, signals
from drehr_rag.generators._telling import LEAST, told
from drehr_rag.generators._wanted import wanted
from drehr_rag.protocols import GenerationRequest

Split = Callable[[str], list[tuple[int, int]]]

READS = 24
"""Passages that it is best given: reading costs it little, and what it reads decides alone."""

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "near": 5.5,
        "wide": 3.75,
        "chief": 1.5,
        "fits": 2.5,
        "denies": 2.25,
        "kin": -0.8,
        "length": 0.3,
    }
)
"""What each signal counts. Fitted on the ward's dev and practice questions, on all sentences of a
patient's notes, and rounded; `benchmarks/extractive_fit.py` fits on what retrieval finds."""

MOST = 6
"""Sentences in an answer. Chosen there: evidence is among four for 79 of 100 questions, among five
for 82, among six for 85."""

FALL = 0.3
"""Share of what the best sentence has of what is asked for, below which no other is quoted."""


def load(*, split: Split, **_: Any) -> "ExtractiveGenerator":
    """A generator that quotes."""
    return ExtractiveGenerator(split)


class ExtractiveGenerator:
    """Looks for what the question asks for: in its words, by other names, by what is of its kind.

    Args:
        split: Offsets of the sentences in a text.
    """

    def __init__(self, split: Split) -> None:
        """Keep it."""
        self._split = split

    def generate(self, request: GenerationRequest) -> str:
        """JSON: the best sentences, each its own quote; none if they lack what is asked for."""
        sentences = sentences_of(request.passages, self._split)
        known = signals(request.question, wanted(request.question), sentences)
        enough = told(request.question, known, sentences) >= LEAST
        best = top(known, sentences) if enough else []
        said = [
            {"text": one.text, "passages": [one.passage], "quote": one.text}
            for one in (sentences[place] for place in best)
        ]
        return json.dumps({"sentences": said})


def top(
    known: Signals, sentences: Sequence[Sentence], weights: Mapping[str, float] = WEIGHTS
) -> list[int]:
    """Places of the best sentences, best first; what is said twice, once."""
    scores = known.table @ np.array([weights[name] for name in NAMES])
    near = known.table[:, NAMES.index("near")]
    chosen: dict[str, int] = {}
    for place in np.argsort(-scores, kind="stable"):
        first = next(iter(chosen.values()), place)
        if near[place] >= FALL * near[first]:
            chosen.setdefault(" ".join(sentences[place].text.lower().split()), int(place))
        if len(chosen) == MOST:
            break
    return list(chosen.values())


def sentences_of(passages: Sequence[str], split: Split) -> list[Sentence]:
    """The sentences of passages with what stands around them; a bare heading is none."""
    return [one for n, text in enumerate(passages, 1) for one in _of_passage(n, text, split)]


def _of_passage(number: int, passage: str, split: Split) -> Iterator[Sentence]:
    texts = [passage[start:end] for start, end in split(passage)]
    heading = ""
    for place, text in enumerate(texts):
        if text.endswith(":"):
            heading = text
        elif any(map(str.isalnum, text)):
            before = texts[place - 1] if place else ""
            after = texts[place + 1] if place + 1 < len(texts) else ""
            yield Sentence(number, text, (heading, before, after))
