"""Medians over rounds, and ratios inside a round."""

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.versus.rounds import Answer, Round

Value = Callable[[Answer], float]


def seconds(answer: Answer) -> float:
    """Of the whole run."""
    return float(answer["seconds"])


def encoding(answer: Answer) -> float:
    """Seconds inside the model's `encode`."""
    return float(answer["encoding_seconds"])


def rest(answer: Answer) -> float:
    """Seconds of everything but encoding."""
    return seconds(answer) - encoding(answer)


def rest_cpu(answer: Answer) -> float:
    """The same in processor time, which waits for nobody."""
    return float(answer["cpu_seconds"]) - float(answer["encoding_cpu_seconds"])


def middle(rounds: Sequence[Round], name: str, value: Value) -> float:
    """The median over rounds."""
    return median(value(answers[name]) for answers in rounds)


def times(rounds: Sequence[Round], name: str, other: str, value: Value) -> float:
    """How many times `name`'s value is in `other`'s: the median of each round's ratio."""
    return median(value(answers[other]) / value(answers[name]) for answers in rounds)
