"""Encoding alone: ours beside bare sentence-transformers, the same weights and chunks.

python -m benchmarks.encode [--quick] [--json FILE] [--markdown docs/measurements.md]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.tables import Table
from benchmarks.versus import goals
from benchmarks.versus.equal_work import Work, equal_work_table, judge
from benchmarks.versus.measures import middle, seconds, times
from benchmarks.versus.rounds import Round, System
from benchmarks.versus.script import Script, prepare

OURS = "drehr-rag"
PLAIN = "sentence-transformers, defaults"
TRIED = 128
"""Chunks on which the bare encoder's settings are tried, each twice."""

SHARE = 0.9
"""Of the bare encoder's best rate."""


def best_bare(script: Script) -> System:
    """Bare sentence-transformers with the precision and batch size that are fastest here."""
    tried = TRIED // 32 if script.options.quick else TRIED
    trial = System("trying settings", "bare", options={"tried": tried})
    rates = script.bench.answer(trial, "sweep")["rates"]
    dtype, size = max(rates, key=rates.get).split()
    name = f"sentence-transformers, best ({dtype}, {size} a batch)"
    return System(name, "bare", options={"dtype": dtype, "batch_size": int(size)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    script = prepare("encode", __doc__ or "", arguments)
    first = {"queries": str(script.query_file)}
    best = best_bare(script)
    systems = [
        System(OURS, "ours", first=first),
        System(PLAIN, "bare", first=first),
        System(best.name, best.worker, options=best.options, first=first),
    ]
    rounds = script.bench.rounds(systems, "encode", script.rounds)
    work = judge(script.judge, rounds[0], OURS)
    rate = 1 / times(rounds, best.name, OURS, seconds)
    verdict = goals.at_least(
        "ours beside the bare encoder's best rate", SHARE, rate, unequal=work.excuses[best.name]
    )
    tables = [
        _speed(rounds, work),
        equal_work_table("Encoding: equal work", rounds[0], work),
        goals.table("Encoding: goals", [verdict]),
    ]
    script.publish(tables, {"rounds": rounds, "ndcg": work.quality, "goals": [vars(verdict)]})


def _speed(rounds: Sequence[Round], work: Work) -> Table:
    columns = ("encoder", "s", "chunks/s", "tokens/s", "ours is × as fast", "least cosine",
               "comparable")  # fmt: skip
    table = Table("Encoding alone", columns)
    for name, answer in rounds[0].items():
        took = middle(rounds, name, seconds)
        table.add(name, f"{took:.1f}", f"{answer['texts'] / took:.1f}",
                  f"{answer['tokens'] / took:,.0f}", f"{times(rounds, OURS, name, seconds):.2f}",
                  f"{_least_cosine(rounds[0][PLAIN], answer):.4f}",
                  work.excuses[name] or "yes")  # fmt: skip
    one = rounds[0][OURS]
    table.note = (
        f"{one['texts']:,} chunks, {len(rounds)} interleaved rounds, each system in a process of "
        "its own: medians; ratios are medians of each round's ratio. Least cosine: with the "
        "vectors of the defaults in float32."
    )
    return table


def _least_cosine(plain: dict[str, Any], answer: dict[str, Any]) -> float:
    one, other = (np.load(f"{a['arrays']}-passages.npy") for a in (plain, answer))
    return float((one * other).sum(axis=1).min())


if __name__ == "__main__":
    main()
