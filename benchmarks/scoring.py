"""How long scoring a run of CliniQ's size takes, all settings and match types, and in what memory.

    python -m benchmarks.scoring [--json FILE]

1,246 invented queries, 16,550 chunks of 1,000 notes, 77,206 judgments of five match types, and a
run that ranks every chunk for every query, made a query at a time, as from a matrix of scores.
"""

import argparse
import json
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.tables import Table
from drehr_rag.eval.benchmarks.cliniq import PUBLISHED, TYPES
from drehr_rag.eval.qrels import MATCHES
from drehr_rag.eval.scoring import score
from drehr_rag.eval.task import Judgment, Passage, Query, Task


class Ranked(Mapping[str, Mapping[str, float]]):
    """Every chunk's score for every query, from a matrix."""

    def __init__(self, queries: list[str], chunks: list[str], seed: int) -> None:
        """Draw the scores."""
        self._queries = {query: row for row, query in enumerate(queries)}
        self._chunks = chunks
        draw = np.random.default_rng(seed)
        self._scores = draw.standard_normal((len(queries), len(chunks)), dtype=np.float32)

    def __getitem__(self, query: str) -> dict[str, float]:
        """The query's scores."""
        return dict(zip(self._chunks, self._scores[self._queries[query]].tolist(), strict=True))

    def __contains__(self, query: object) -> bool:
        """Whether it is one of the queries."""
        return query in self._queries

    def __iter__(self) -> Iterator[str]:
        """The queries."""
        return iter(self._queries)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._queries)


def invented(seed: int = 0) -> Task:
    """A task of CliniQ's size; relevant chunks lie together, a few a note, as in real notes."""
    draw = np.random.default_rng(seed)
    notes, chunks = PUBLISHED["notes"], PUBLISHED["chunks"]
    sizes = draw.multinomial(chunks - 5 * notes, [1 / notes] * notes) + 5
    ids = [[f"{100_000 + n}_{i}" for i in range(size)] for n, size in enumerate(sizes)]
    passages = {c: Passage("", f"{100_000 + n}") for n, some in enumerate(ids) for c in some}
    queries = {
        str(i): Query(f"entity {i}", TYPES[i % len(TYPES)]) for i in range(PUBLISHED["queries"])
    }
    qrels: dict[str, dict[str, Judgment]] = {query: {} for query in queries}
    left = PUBLISHED["judgments"]
    while left:
        for query in queries:
            some = ids[draw.integers(notes)]
            for place in draw.integers(len(some), size=2):
                if left and some[place] not in qrels[query]:
                    match = MATCHES[draw.integers(len(MATCHES))]
                    qrels[query][some[place]] = Judgment(match=match)
                    left -= 1
    return Task("invented, of CliniQ's size", passages, queries, qrels)


def main() -> None:
    """Score, and show what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    task = invented()
    run = Ranked(list(task.queries), list(task.passages), seed=1)
    started = perf_counter()
    scores = score(task, run)
    seconds = perf_counter() - started
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pairs = len(next(v for c, v in scores.items() if c.setting == "single-patient"))
    table = Table("Scoring at CliniQ's size", ("what", "measured"))
    table.add("scores", f"{sum(map(len, scores.values())):,} in {len(scores)} cells")
    table.add("pairs of query and note", f"{pairs:,}")
    table.add("seconds (goal 20)", f"{seconds:.1f}")
    table.add("peak memory, MB (goal 1,000)", f"{peak / 1e6:,.0f}")
    table.show(Console(width=100))
    if options.json:
        facts = {"seconds": seconds, "peak": peak, "pairs": pairs}
        stamp = machine.describe("benchmarks.scoring")
        options.json.write_text(json.dumps({**facts, "stamp": stamp}, default=str) + "\n")


if __name__ == "__main__":
    main()
