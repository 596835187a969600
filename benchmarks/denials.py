"""Chunks that only deny what is looked for: where they stand, and what sinking them costs.

    python -m benchmarks.training_sets WORK/devset
    python -m benchmarks.denials WORK [--only mtsamples_select] [--markdown docs/measurements.md]

Labels: `qrels_negated.tsv.gz` of MTSamples, pairs in which other rules than ours found the concept
denied and nothing else. What is measured is kept in WORK/denials.json and not measured again. The
factor is chosen on vaers2003 and mtsamples_select; the other sets report.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import data_folder
from benchmarks.devsets import Devset, load, make_store
from benchmarks.expansion import CHOOSING, INVENTORIES, REPORTING, Known, Remembering, graph_of
from benchmarks.ranking import EVERYBODY, NDCG, RECALL, _p_value, _scores
from benchmarks.tables import Table, write_block
from benchmarks.training_sets.files import read_set
from drehr_rag.encoders import load_encoder
from drehr_rag.kg.inventories import Inventory
from drehr_rag.protocols import Retriever
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._asserted import DENIED, AssertedRetriever
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import Hit

MODULE = "benchmarks.denials"
MODES = ("hybrid", "expanded")
FACTORS = (1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.01)
TIMED = 100
"""Queries that are timed, each with and without, one after the other."""

Denied = dict[str, set[str]]
Found = dict[str, list[Hit]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not measured yet, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("--only", choices=CHOOSING + REPORTING, help="measure this set, no tables")
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    stamp, file = machine.describe(MODULE), options.work / "denials.json"
    held: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in (options.only,) if options.only else CHOOSING + REPORTING:
        if name not in held:
            held[name] = measure(options.work, name)
            file.write_text(json.dumps(held))
    if options.only:
        return
    tables = [_choosing(held), _reported(held), _time(held)]
    for table in tables:
        table.show(Console(width=150))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        body = "\n\n".join(table.markdown() for table in tables)
        text = f"## Denials: chunks that only deny what is looked for\n\n{head}\n\n{body}"
        write_block(options.markdown, "denials", text, by=MODULE)


def measure(work: Path, name: str) -> dict[str, Any]:
    """Both modes on one set: by factor, and in milliseconds."""
    devset, encoder = load(work, name), load_encoder("offline")
    denied: Denied = {}
    for query, chunk in read_set(work / "devset" / name).negated:
        denied.setdefault(query, set()).add(chunk)
    graph = graph_of("whole", work)
    inventory = Inventory(data_folder() / "abbrev" / one for one in INVENTORIES)
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(devset.queries.values())))
        result = {}
        for mode in MODES:
            more: dict[str, Any] = {"graph": graph, "abbreviations": inventory}
            options = more if mode == "expanded" else {}
            memory: Any = Remembering(store)
            retriever = load_retriever(mode, encoder=known, store=memory, **options)
            result[mode] = {
                "factors": _by_factor(devset, denied, _found(devset, retriever)),
                "ms": _milliseconds(
                    devset, load_retriever(mode, encoder=known, store=store, **options)
                ),
            }
        return result


def _found(devset: Devset, retriever: Retriever) -> Found:
    """The best 200 hits of every query in their old order, each told what it says."""
    telling = AssertedRetriever(retriever, denied=1.0)
    return {
        query: telling.retrieve([text], scope=EVERYBODY, filters=NO_FILTERS, k=DEPTH)[0]
        for query, text in devset.queries.items()
    }


def sunk(hits: Sequence[Hit], factor: float) -> list[str]:
    """The order of hits whose scores are none below nought, with this factor."""

    def score(hit: Hit) -> float:
        return hit.score * (factor if hit.assertion == "negated" else 1.0)

    return [hit.chunk.chunk_id for hit in sorted(hits, key=score, reverse=True)]


def _by_factor(devset: Devset, denied: Denied, found: Found) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for factor in FACTORS:
        run = {query: sunk(hits, factor) for query, hits in found.items()}
        scores = _scores(run, devset.qrels, "all")
        result[str(factor)] = {
            "above": sum(_above(run[q], set(devset.qrels[q]), denied.get(q, set())) for q in run),
            "top": sum(len(denied.get(q, set()).intersection(run[q][:10])) for q in run),
            **{str(measure_): scores[str(measure_)] for measure_ in (NDCG, RECALL)},
        }
    marked = {
        q: [h.chunk.chunk_id for h in hits if h.assertion == "negated"] for q, hits in found.items()
    }
    every = {q: {h.chunk.chunk_id for h in hits} for q, hits in found.items()}
    result["marked"] = sum(map(len, marked.values()))
    result["relevant"] = sum(len(devset.qrels[q].keys() & set(some)) for q, some in marked.items())
    result["labelled"] = sum(len(denied.get(q, set()) & some) for q, some in every.items())
    result["both"] = sum(len(denied.get(q, set()).intersection(some)) for q, some in marked.items())
    return result


def _above(ranking: Sequence[str], relevant: set[str], denied: set[str]) -> int:
    """Denied-only chunks before the last relevant one."""
    last = max((place for place, chunk in enumerate(ranking) if chunk in relevant), default=0)
    return len(denied.intersection(ranking[:last]))


def _milliseconds(devset: Devset, retriever: Retriever) -> dict[str, list[float]]:
    """Of some queries, with k = 10, without and with telling denials apart, in turn."""
    telling = AssertedRetriever(retriever)
    times: dict[str, list[float]] = {"without": [], "with": []}
    texts = list(devset.queries.values())
    for text in texts[:: max(1, len(texts) // TIMED)]:
        for way, asked in (("without", retriever), ("with", telling)):
            began = perf_counter()
            asked.retrieve([text], scope=EVERYBODY, filters=NO_FILTERS, k=10)
            times[way].append(1000 * (perf_counter() - began))
    return times


# -- tables ------------------------------------------------------------------------------------


def _mean(scores: Mapping[str, float]) -> float:
    return float(np.mean(list(scores.values())))


def _choosing(held: Mapping[str, Any]) -> Table:
    columns = ["mode", "factor"]
    columns += [f"{name}, nDCG@10" for name in CHOOSING]
    columns += ["denied above the last relevant", "denied in the top 10"]
    table = Table("Denials: choosing the factor", columns, left=1)
    for mode in MODES:
        for factor in map(str, FACTORS):
            some = [held[name][mode]["factors"][factor] for name in CHOOSING]
            told = [sum(one[what] for one in some) for what in ("above", "top")]
            table.add(mode, factor, *(f"{_mean(one[str(NDCG)]):.4f}" for one in some), *told)
    table.note = (
        "What is left of the score of a chunk that only denies what is looked for; 1 leaves it "
        f"where it was. The package has {DENIED}. Denied: by the labels of mtsamples_select, "
        "among the best 200 of all queries. vaers2003 has no such labels."
    )
    return table


def _reported(held: Mapping[str, Any]) -> Table:
    columns = ["set", "mode", "measure", "as found", "sunk", "difference", "p"]
    table = Table("Denials: what reports", columns, left=3)
    for name in REPORTING:
        for mode in MODES:
            factors = held[name][mode]["factors"]
            before, after = factors["1.0"], factors[str(DENIED)]
            for measure_ in (NDCG, RECALL):
                one, other = (side[str(measure_)] for side in (before, after))
                told = (_mean(one), _mean(other), f"{_mean(other) - _mean(one):+.4f}")
                table.add(name, mode, str(measure_), *told, f"{_p_value(other, one):.4f}")
            if factors["labelled"]:
                for what, said in (
                    ("above", "denied above the last relevant"),
                    ("top", "denied in the top 10"),
                ):
                    told = (before[what], after[what], f"{after[what] - before[what]:+d}")
                    table.add(name, mode, said, *told, "")
                table.add(
                    name,
                    mode,
                    "denied by the labels, and called so",
                    factors["labelled"],
                    factors["both"],
                    "",
                    "",
                )
            table.add(
                name,
                mode,
                "called denied, and relevant",
                factors["marked"],
                factors["relevant"],
                "",
                "",
            )
    table.note = (
        "Denied: pairs that the set's own rules found denied only, among the best 200 of all "
        "queries; nobody has read them. p: paired randomisation test over queries, two-sided."
    )
    return table


def _time(held: Mapping[str, Any]) -> Table:
    table = Table(
        "Denials: milliseconds a query",
        ["set", "mode", "without", "with", "median of the differences", "p95 of them"],
        left=2,
    )
    for name in CHOOSING + REPORTING:
        for mode in MODES:
            without, told = (np.array(held[name][mode]["ms"][way]) for way in ("without", "with"))
            more = told - without
            middle = [float(np.median(part)) for part in (without, told, more)]
            table.add(
                name, mode, *(f"{one:.1f}" for one in middle), f"{np.percentile(more, 95):.1f}"
            )
    table.note = (
        f"Ten hits, vectors known beforehand; {TIMED} queries or more, with and without in turn."
    )
    return table


if __name__ == "__main__":
    main()
