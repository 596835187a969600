"""Small results of evaluations, made by hand, for the tests of comparison and report."""

import numpy as np

from drehr_rag.eval.results import result
from drehr_rag.eval.scoring import Cell
from drehr_rag.eval.task import Judgment, Passage, Query, Task

FACTS = {"data": {"qrels.tsv": "abc"}, "chunker": {"chunker": "words"}}
TYPES = ("disease", "drug")
MATCHES = ("string", "synonym")


def task(queries=8, *, facts=FACTS, texts=None, chunks=40):
    """Queries q0, q1, …; chunks c0, c1, …, of which three are relevant for each query."""
    texts = texts or {}
    judged = {
        f"q{i}": {f"c{(3 * i + j) % chunks}": Judgment(1, MATCHES[j % 2]) for j in range(3)}
        for i in range(queries)
    }
    return Task(
        "toy",
        {f"c{i}": Passage(f"words of c{i}", f"n{i // 5}") for i in range(chunks)},
        {f"q{i}": Query(texts.get(i, f"query {i}"), TYPES[i % 2]) for i in range(queries)},
        judged,
        facts=facts,
    )


def made(name, values, *, cells=None, task_=None, run=None, manifest=None):
    """A result whose nDCG@10 by query is `values`, or whose cells are given."""
    on = task_ or task(len(values))
    cell = Cell("multi-patient", "all", "nDCG@10")
    scores = cells or {cell: {f"q{i}": float(v) for i, v in enumerate(values)}}
    ranked = run or {query: {"c0": 2.0, "c1": 1.0} for query in on.queries}
    return result(name, on, ranked, scores, manifest=manifest)


def rankings(on, seed=0, depth=30):
    """A run that ranks all chunks at random."""
    draw = np.random.default_rng(seed)
    chunks = list(on.passages)
    return {
        query: {c: -float(i) for i, c in enumerate(draw.permutation(chunks)[:depth].tolist())}
        for query in on.queries
    }
