"""The exact neighbours of the queries among made-up chunks, and how many of them a search finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Self

import numpy as np

from benchmarks.synthetic import BLOCK, Corpus, Real
from drehr_rag import AllPatients, Cohort, EhrIndex
from drehr_rag.types import Scope, Vectors

DEPTH = 100
SLACK = 1e-5
"""Cosines this close are equal: the engine keeps float32."""


@dataclass(frozen=True)
class Truth:
    """The cosines of the best hundred chunks of each query.

    A hit counts as found if its cosine reaches the k-th best: which of two equal ones is returned
    does not matter.

    Attributes:
        everybody: Shape (queries, 100), best first.
        cohort: The same inside the query's cohort; -inf where a cohort is smaller.
        milliseconds: What numpy took for one query of the batch, one thread.
    """

    everybody: Vectors
    cohort: Vectors
    milliseconds: float

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        queries: Vectors,
        cohorts: Sequence[Sequence[int]],
        size: int,
        folder: Path,
    ) -> Self:
        """Compare every query with every vector; kept in the folder."""
        path = folder / f"truth-{size}.npz"
        if not path.exists():
            everybody, cohort, milliseconds = _compare(corpus, queries, cohorts, size)
            np.savez(path, everybody=everybody, cohort=cohort, milliseconds=np.array(milliseconds))
        with np.load(path) as file:
            return cls(file["everybody"], file["cohort"], float(file["milliseconds"]))

    def by_scope(
        self, cohorts: Sequence[Sequence[int]]
    ) -> Mapping[str, tuple[list[Scope], Vectors]]:
        """The scopes of the queries, and the truth in them."""
        groups = [Cohort(str(10_000_000 + patient) for patient in some) for some in cohorts]
        mine: list[Scope] = [groups[i % len(groups)] for i in range(len(self.cohort))]
        everybody: list[Scope] = [AllPatients(reason="benchmark")] * len(self.everybody)
        return {"all patients": (everybody, self.everybody), "cohort": (mine, self.cohort)}


def recall(
    index: EhrIndex, real: Real, scopes: Sequence[Scope], truth: Vectors, k: int
) -> dict[str, float]:
    """The share of the k best that dense search returns: mean, and the worst tenth's limit."""
    shares = []
    for query, scope, best in zip(real.queries, scopes, truth, strict=True):
        wanted = int(np.isfinite(best[:k]).sum())
        hits = index.search(query, scope=scope, k=k, mode="dense", assertion="any")
        found = sum(hit.score >= best[wanted - 1] - SLACK for hit in hits)
        shares.append(min(found, wanted) / wanted)
    return {"mean": float(np.mean(shares)), "p10": float(np.percentile(shares, 10))}


def _compare(
    corpus: Corpus, queries: Vectors, cohorts: Sequence[Sequence[int]], size: int
) -> tuple[Vectors, Vectors, float]:
    everybody = np.full((len(queries), DEPTH), -np.inf, np.float32)
    cohort = everybody.copy()
    turn = np.arange(len(queries)) % len(cohorts)
    spent = 0.0
    for block in range(size // BLOCK):
        vectors, patients = corpus.vectors(block), corpus.patients(block)
        started = perf_counter()
        cosines = queries @ vectors.T
        everybody = _best(everybody, cosines)
        spent += perf_counter() - started
        inside = np.stack([np.isin(patients, some) for some in cohorts])
        cohort = _best(cohort, np.where(inside[turn], cosines, -np.inf).astype(np.float32))
    return everybody, cohort, 1000 * spent / len(queries)


def _best(held: Vectors, more: Vectors) -> Vectors:
    both = np.concatenate([held, more], axis=1)
    best: Vectors = -np.sort(-np.partition(both, -DEPTH, axis=1)[:, -DEPTH:], axis=1)
    return best
