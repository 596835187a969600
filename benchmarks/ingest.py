"""From ready-made chunks to a store: ours beside LangChain, LlamaIndex and the bare encoder.

    python -m benchmarks.ingest [--quick] [--json FILE] [--markdown docs/measurements.md]

Everybody runs as their documentation shows, with their defaults.
"""

from collections.abc import Mapping, Sequence

from benchmarks.encode import OURS, SHARE, best_bare
from benchmarks.tables import Table
from benchmarks.versus import goals
from benchmarks.versus.equal_work import Work, equal_work_table, judge
from benchmarks.versus.goals import Goal
from benchmarks.versus.measures import (
    Value,
    encoding,
    middle,
    rest,
    rest_cpu,
    seconds,
    times,
)
from benchmarks.versus.rounds import Round, System
from benchmarks.versus.script import MISSING, Script, prepare

LANGCHAIN = System("LangChain", "langchain", theirs=True)
LLAMA_INDEX = System("LlamaIndex", "llama_index", theirs=True)
WHOLE = "drehr-rag, from files of notes"
APART = "drehr-rag, the engine apart"
FASTER = 3
REST = 0.2
GROWTH = 1.05
"""Resident memory at the end over that after a quarter, which counts as not growing. An engine in
this process holds its index of what it has, so it is measured with and without one."""

ALL_NOTES = 40_000
"""Chunks that `EhrIndex.add` makes of all open notes (docs/measurements.md)."""

MB = 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    script = prepare("ingest", __doc__ or "", arguments)
    bare = best_bare(script)
    rounds = _measure(script, bare)
    same = [OURS, *(s.name for s in (LANGCHAIN, LLAMA_INDEX, bare) if s.name in rounds[0])]
    work = judge(script.judge, {name: rounds[0][name] for name in same}, OURS)
    skipped = script.skipped([LANGCHAIN, LLAMA_INDEX])
    aims = _goals(rounds, bare.name, work.excuses, skipped)
    tables = [
        _speed(rounds, work, skipped),
        equal_work_table("Ingest: equal work", rounds[0], work),
        _memory(rounds),
        goals.table("Ingest: goals", aims),
    ]
    facts = {"rounds": rounds, "ndcg": work.quality, "goals": [vars(aim) for aim in aims]}
    script.publish(tables, facts)


def _measure(script: Script, bare: System) -> list[Round]:
    first = {"queries": str(script.query_file)}
    every = max(1, round(ALL_NOTES / script.options.chunks))
    systems = [
        System(OURS, "ours", first=first),
        System(LANGCHAIN.name, LANGCHAIN.worker, theirs=True, first=first),
        System(LLAMA_INDEX.name, LLAMA_INDEX.worker, theirs=True, first=first),
        System(bare.name, bare.worker, options=bare.options, first=first),
        System(WHOLE, "ours_whole", options={"every": every}),
        System(APART, "ours", options={"apart": True}),
    ]
    return script.bench.rounds(systems, "ingest", script.rounds)


def _speed(rounds: Sequence[Round], work: Work, skipped: Sequence[System]) -> Table:
    columns = ("system", "s", "chunks/s", "encoding, s", "all else, s", "all else, CPU s",
               "ours is × as fast", "their all else / ours", "comparable")  # fmt: skip
    table = Table("Ingest", columns)
    for name, answer in rounds[0].items():
        took = middle(rounds, name, seconds)
        figures = [
            f"{took:.1f}",
            f"{answer['texts'] / took:.1f}",
            f"{middle(rounds, name, encoding):.1f}",
            f"{middle(rounds, name, rest):.2f}",
            f"{middle(rounds, name, rest_cpu):.2f}",
        ]
        if name in work.excuses:
            figures += [
                f"{times(rounds, OURS, name, seconds):.2f}",
                f"{times(rounds, OURS, name, rest):.2f}",
                work.excuses[name] or "yes",
            ]
        else:
            figures += ["", "", "stores nothing" if name == APART else "other chunks"]
        table.add(name, *figures)
    for system in skipped:
        table.add(system.name, *[None] * (len(columns) - 2), MISSING)
    counting = middle(rounds, OURS, lambda answer: answer["counting_seconds"])
    table.note = (
        "From a file of chunks to a closed store in a folder; "
        f"{len(rounds)} interleaved rounds, each system in a process of its own, models loaded and "
        "warm: medians; ratios are medians of each round's ratio. Encoding is the call from texts "
        "to vectors: theirs is sentence-transformers' `encode`; ours also counts tokens "
        f"({counting:.2f} s), to order the batches and to know what is cut. All else is what "
        "stands around it; ours writes BM25 vectors too. The bare encoder stores nothing."
    )
    return table


def _memory(rounds: Sequence[Round]) -> Table:
    columns = ("system", "before", "1/4", "1/2", "3/4", "end", "peak", "end / 1/4",
               "own pages, before", "own, 1/4", "own, end", "own, end / 1/4")  # fmt: skip
    table = Table("Ingest: resident memory, MB", columns)
    for name in rounds[0]:
        marks = [middle(rounds, name, _mark("resident", i)) for i in range(5)]
        own = [middle(rounds, name, _mark("own", i)) for i in (0, 1, 4)]
        peak = middle(rounds, name, lambda answer: answer["memory"]["peak"])
        table.add(name, *(f"{mark / MB:,.0f}" for mark in (*marks, peak)),
                  f"{marks[4] / marks[1]:.2f}", *(f"{mark / MB:,.0f}" for mark in own),
                  f"{own[2] / own[1]:.2f}")  # fmt: skip
    table.note = (
        "After each quarter of the time. Own pages: without mapped files, which the system takes "
        "back when memory is short. The engine apart: it gets every point and keeps none; what "
        "the engine holds of a chunk is in docs/scaling.md."
    )
    return table


def _mark(kind: str, place: int) -> Value:
    return lambda answer: answer["memory"][kind][place]


def _goals(
    rounds: Sequence[Round], bare: str, excuses: Mapping[str, str], skipped: Sequence[System]
) -> list[Goal]:
    found: list[Goal] = []
    for system in (LANGCHAIN, LLAMA_INDEX):
        faster = f"ingest, ours against {system.name}"
        beside = f"all but encoding, ours against {system.name}"
        if system in skipped:
            found += [goals.not_measured(text, MISSING) for text in (faster, beside)]
            continue
        excuse = excuses[system.name]
        ratio = times(rounds, OURS, system.name, seconds)
        share = 1 / times(rounds, OURS, system.name, rest)
        found += [
            goals.at_least(faster, FASTER, ratio, unequal=excuse),
            goals.at_most(beside, REST, share, unequal=excuse),
        ]
    rate = times(rounds, OURS, bare, seconds)
    text = "ours, everything included, beside the bare encoder's best rate"
    return [
        *found,
        goals.at_least(text, SHARE, rate, unequal=excuses[bare]),
        *(
            goals.at_most(f"{name}, resident memory, end beside 1/4", GROWTH, _growth(rounds, name))
            for name in (APART, OURS)
        ),
    ]


def _growth(rounds: Sequence[Round], name: str) -> float:
    end, quarter = (middle(rounds, name, _mark("resident", place)) for place in (4, 1))
    return end / quarter


if __name__ == "__main__":
    main()
