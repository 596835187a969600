"""How good a model in training is: a benchmark's measures, dense search alone."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from drehr_rag.errors import TrainingError
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.scoring import ALL, mean, score
from drehr_rag.eval.task import Task
from drehr_rag.protocols import Encoder
from drehr_rag.types import Vectors

Evaluator = Callable[[Encoder], Mapping[str, float]]
"""An encoder to named numbers; the first decides which checkpoint is best, higher is better."""

DEPTH = 100
"""Passages of a ranking: enough for nDCG@10 and R@100."""


def evaluator_named(name: str) -> Evaluator:
    """What `BENCHMARK:PLACE` measures, e.g. `devset:../data/devset/vaers2004`; `ward` needs none.

    Raises:
        UnknownName: There is no such benchmark.
        EvaluationError: Its files are missing or damaged.
    """
    benchmark, _, place = name.partition(":")
    return BenchmarkEvaluator(load_benchmark(benchmark, Path(place) if place else None))


def evaluators_named(names: Sequence[str]) -> Evaluator:
    """As `evaluator_named`; of several benchmarks their mean decides.

    Raises:
        TrainingError: There is none, or one is named twice.
    """
    if not names or len(set(names)) != len(names):
        raise TrainingError("an evaluation needs benchmarks, each once: devset:FOLDER, ward, …")
    every = {name: evaluator_named(name) for name in names}
    return every[names[0]] if len(every) == 1 else _Several(every)


class _Several:
    """The mean of the first measure over several evaluators, then what each says."""

    def __init__(self, every: Mapping[str, Evaluator]) -> None:
        self._every = every

    def __call__(self, encoder: Encoder) -> dict[str, float]:
        found = {name: one(encoder) for name, one in self._every.items()}
        firsts = [next(iter(numbers.items())) for numbers in found.values()]
        each = {f"{at} {name}": v for at, some in found.items() for name, v in some.items()}
        return {f"mean {firsts[0][0]}": sum(v for _, v in firsts) / len(firsts), **each}


class BenchmarkEvaluator:
    """Every query against every passage by the product of their vectors.

    Args:
        task: A benchmark.
        measures: In the multi-patient setting; the first decides.

    Raises:
        TrainingError: There are no measures.
    """

    def __init__(self, task: Task, measures: Sequence[str] = ("nDCG@10",)) -> None:
        """Nothing is encoded yet."""
        if not measures:
            raise TrainingError("an evaluation needs a measure, e.g. nDCG@10")
        self.task = task
        self.measures = tuple(measures)

    def __call__(self, encoder: Encoder) -> dict[str, float]:
        """The mean of each measure over the queries, and over those of each match type."""
        scores = score(self.task, self.run(encoder), measures={"multi-patient": self.measures})
        return {
            cell.shown if cell.match == ALL else f"{cell.shown} {cell.match}": mean(values)
            for cell, values in scores.items()
            if values
        }

    def run(self, encoder: Encoder) -> dict[str, dict[str, float]]:
        """Query id → passage id → score."""
        keys = list(self.task.passages)
        passages = encoder.encode_passages([p.text for p in self.task.passages.values()])
        asked = encoder.encode_queries([q.text for q in self.task.queries.values()])
        return {
            query: _best(vector @ passages.T, keys)
            for query, vector in zip(self.task.queries, asked, strict=True)
        }


def _best(scores: Vectors, keys: Sequence[str]) -> dict[str, float]:
    best = np.argsort(-scores, kind="stable")[:DEPTH]
    return {keys[i]: float(scores[i]) for i in best.tolist()}
