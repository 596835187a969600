"""Whether systems did equal work: the same passages, the same tokens, vectors as good."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.tables import Table
from benchmarks.versus.quality import Judge
from benchmarks.versus.rounds import Answer

NEAR = 0.005
"""Most that nDCG@10 may differ between systems whose speeds are compared."""


@dataclass(frozen=True)
class Work:
    """What was found of each system.

    Attributes:
        quality: System → development set → nDCG@10.
        excuses: System → why its speed says nothing beside the first one's; empty if it does.
    """

    quality: dict[str, dict[str, float]]
    excuses: dict[str, str]


def judge(by: Judge, answers: Mapping[str, Answer], first: str) -> Work:
    """Measure everybody's vectors and compare with one system's."""
    quality = {name: by.ndcg(answer["arrays"]) for name, answer in answers.items()}
    return Work(
        quality,
        {
            name: unequal(answers[first], answer, quality[first], quality[name])
            for name, answer in answers.items()
        },
    )


def unequal(
    one: Answer, other: Answer, quality: Mapping[str, float], others: Mapping[str, float]
) -> str:
    """Why two speeds cannot be compared; empty if they can."""
    reasons = [
        f"{other[what] - one[what]:+,} {what}"
        for what in ("texts", "tokens")
        if other[what] != one[what]
    ]
    reasons += [
        f"nDCG@10 {others[name] - score:+.3f} on {name}"
        for name, score in quality.items()
        if not abs(others[name] - score) <= NEAR  # also where one is no number
    ]
    return ", ".join(reasons)


def equal_work_table(title: str, answers: Mapping[str, Answer], work: Work) -> Table:
    """What each system did, and whether it is comparable."""
    sets = list(next(iter(work.quality.values())))
    columns = ("system", "passages", "tokens", *(f"nDCG@10 {name}" for name in sets),
               "search = exact", "comparable")  # fmt: skip
    table = Table(title, columns)
    for name, scores in work.quality.items():
        answer = answers[name]
        table.add(name, answer["texts"], answer["tokens"], *(scores[one] for one in sets),
                  answer.get("agreement"), work.excuses[name] or "yes")  # fmt: skip
    table.note = (
        f"Comparable: as many passages and tokens as ours, and nDCG@10 within {NEAR} of ours, by "
        "the vectors (read back from the store, where there is one). Search = exact: share of the "
        "ten nearest by exact cosine that the system's own search finds."
    )
    return table
