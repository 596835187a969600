"""Medians over rounds, ratios inside a round, and whether two systems did equal work."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks.versus.rounds import Answer, Round

NEAR = 0.005
"""Most that nDCG@10 may differ between systems whose speeds are compared."""

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


def unequal(
    one: Answer, other: Answer, quality: Mapping[str, float], others: Mapping[str, float]
) -> str:
    """Why two speeds cannot be compared; empty if they can."""
    reasons = []
    if one["texts"] != other["texts"]:
        reasons.append(f"{other['texts'] - one['texts']:+,} texts")
    if one["tokens"] != other["tokens"]:
        reasons.append(f"{other['tokens'] - one['tokens']:+,} tokens")
    for name, score in quality.items():
        if not abs(others[name] - score) <= NEAR:
            reasons.append(f"nDCG@10 {others[name] - score:+.3f} on {name}")
    return ", ".join(reasons)
