"""What is evaluated: something that answers questions, and what decides its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drehr_rag.eval.qa.records import Question
from drehr_rag.types import Answer

Tokens = Mapping[str, int]


def _none() -> None:
    return None


def _unsure(_: Question, __: Answer) -> None:
    return None


@dataclass(frozen=True)
class Chain:
    """A question-answering chain.

    Attributes:
        ask: Answers one question, inside its patient's notes.
        settings: All that decides the answers (JSON values); a run of other settings is another
            run.
        tokens: What the last answer cost, if the language model said so.
        confidence: How sure the chain is of an answer, if it can tell; higher is surer.
    """

    ask: Callable[[Question], Answer]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tokens: Callable[[], Tokens | None] = _none
    confidence: Callable[[Question, Answer], float | None] = _unsure
