"""Chunks that only deny what is looked for: where they stand, and what sinking them costs.

    python -m benchmarks.training_sets WORK/devset
    python -m benchmarks.denials WORK [--only mtsamples_select [--mode packaged]]
    python -m benchmarks.denials WORK --markdown docs/measurements.md
    python -m benchmarks.denials WORK --time mtsamples_select

Labels: `qrels_negated.tsv.gz` of MTSamples, pairs in which other rules than ours found the concept
denied and nothing else. What is measured is kept in WORK/denials.json and not measured again. The
factor is chosen on vaers2003 and mtsamples_select; the other sets report.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest.mock import patch

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
from drehr_rag.retrievers import _mentions, load_retriever
from drehr_rag.retrievers._asserted import DENIED, AssertedRetriever
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores._where import NO_FILTERS

MODULE = "benchmarks.denials"
MODES = ("hybrid", "expanded", "packaged")
"""Expanded by all shared terminologies, and by what comes with the package."""

FACTORS = (1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.01)
PAGE = 40
TIMED = 100
"""Queries that are timed, each with and without, one after the other."""

Denied = dict[str, set[str]]
Told = tuple[str, float, str | None]
"""A chunk, its score as found, and what it says."""

Found = dict[str, list[Told]]
"""Query → its best 200 in their old order."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not measured yet, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("--only", choices=CHOOSING + REPORTING, help="measure this set, no tables")
    parser.add_argument("--mode", choices=MODES, help="with --only: this mode alone")
    parser.add_argument("--time", choices=CHOOSING + REPORTING, help="time this set, no more")
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    if options.time:
        _time(options.work, options.time).show(Console(width=150))
        return
    stamp, file = machine.describe(MODULE), options.work / "denials.json"
    held: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in (options.only,) if options.only else CHOOSING + REPORTING:
        left = [mode for mode in MODES if mode not in held.get(name, {})]
        if left := [mode for mode in left if options.mode in (None, mode)]:
            held.setdefault(name, {}).update(measure(options.work, name, left))
            file.write_text(json.dumps(held))
            print(f"{name}, {', '.join(left)}: measured", flush=True)
    if options.only:
        return
    tables = [_choosing(held), _reported(held), _rules(held)]
    for table in tables:
        table.show(Console(width=150))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        body = "\n\n".join(table.markdown() for table in tables)
        text = f"## Denials: chunks that only deny what is looked for\n\n{head}\n\n{body}"
        write_block(options.markdown, "denials", text, by=MODULE)


def measure(work: Path, name: str, modes: Sequence[str] = MODES) -> dict[str, Any]:
    """Modes on one set, by factor."""
    devset = load(work, name)
    denied: Denied = {}
    for query, chunk in read_set(work / "devset" / name).negated:
        denied.setdefault(query, set()).add(chunk)
    with _retrievers(work, devset, modes, quick=True) as retrievers:
        return {
            mode: _by_factor(devset, denied, _found(devset, retriever, _file(work, name, mode)))
            for mode, retriever in retrievers.items()
        }


def _file(work: Path, name: str, mode: str) -> Path:
    return work / "runs" / f"{name} {mode} denials.json"


@contextmanager
def _retrievers(
    work: Path, devset: Devset, modes: Sequence[str] = MODES, *, quick: bool
) -> Iterator[dict[str, Retriever]]:
    """One of each mode, over a store that is asked once for a thing if quick."""
    encoder = load_encoder("offline")
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(devset.queries.values())))
        parts: dict[str, Any] = {"encoder": known, "store": Remembering(store) if quick else store}
        yield {mode: _retriever(mode, parts, work) for mode in modes}


def _retriever(mode: str, parts: Mapping[str, Any], work: Path) -> Retriever:
    if mode == "hybrid":
        return load_retriever("hybrid", **parts)
    if mode == "packaged":
        return load_retriever("expanded", **parts)
    counted = Inventory(data_folder() / "abbrev" / one for one in INVENTORIES)
    whole = {"graph": graph_of("whole", work), "abbreviations": counted}
    return load_retriever("expanded", **parts, **whole)


def _found(devset: Devset, retriever: Retriever, file: Path) -> Found:
    """What every query finds, kept in a file page by page: what was interrupted goes on."""
    found: Found = json.loads(file.read_text()) if file.exists() else {}
    file.parent.mkdir(exist_ok=True)
    telling = AssertedRetriever(retriever, denied=1.0)
    left = [query for query in devset.queries if query not in found]
    for start in range(0, len(left), PAGE):
        page = left[start : start + PAGE]
        texts = [devset.queries[query] for query in page]
        with patch.object(_mentions, "words_of", cache(_mentions.words_of)):  # each chunk once
            many = telling.retrieve(texts, scope=EVERYBODY, filters=NO_FILTERS, k=DEPTH)
        for query, hits in zip(page, many, strict=True):
            found[query] = [(hit.chunk.chunk_id, hit.score, hit.assertion) for hit in hits]
        file.write_text(json.dumps(found))
    return found


def sunk(told: Sequence[Told], factor: float) -> list[str]:
    """The order of chunks whose scores are none below nought, with this factor."""
    worth = [score * (factor if said == "negated" else 1.0) for _, score, said in told]
    return [told[place][0] for place in sorted(range(len(told)), key=lambda n: -worth[n])]


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
    marked = {q: [one for one, _, said in some if said == "negated"] for q, some in found.items()}
    every = {q: {one for one, _, _ in some} for q, some in found.items()}
    result["marked"] = sum(map(len, marked.values()))
    result["relevant"] = sum(len(devset.qrels[q].keys() & some) for q, some in marked.items())
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
            some = [held.get(name, {}).get(mode, {}).get(factor) for name in CHOOSING]
            if not any(some):
                continue
            cells = [f"{_mean(one[str(NDCG)]):.4f}" if one else None for one in some]
            told = [sum(one[what] for one in some if one) for what in ("above", "top")]
            table.add(mode, factor, *cells, *told)
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
        for mode, factors in held.get(name, {}).items():
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
    table.note = (
        "Denied: pairs that the set's own rules found denied only, among the best 200 of all "
        "queries; nobody has read them. What these rules call denied is not relevant in MTSamples "
        "by its making, so its gain is in part that of rules which agree with rules. p: paired "
        "randomisation test over queries, two-sided."
    )
    return table


def _rules(held: Mapping[str, Any]) -> Table:
    columns = ["set", "mode", "called denied", "of them relevant", "labelled denied", "called so"]
    table = Table("Denials: the rules and the labels", columns, left=2)
    for name in CHOOSING + REPORTING:
        for mode, told in held.get(name, {}).items():
            counts = (told[what] for what in ("marked", "relevant", "labelled", "both"))
            table.add(name, mode, *counts)
    table.note = (
        "Chunks among the best 200 of all queries. vaers has no labels of denial; what its coders "
        "took for relevant may be denied in another sentence than it is coded for."
    )
    return table


def _time(work: Path, name: str) -> Table:
    columns = ["mode", "without", "with", "median of the differences", "p95 of them"]
    table = Table(f"Denials: milliseconds a query, {name}", columns)
    devset = load(work, name)
    with _retrievers(work, devset, quick=False) as retrievers:
        for mode, retriever in retrievers.items():
            times = _milliseconds(devset, retriever)
            without, told = (np.array(times[way]) for way in ("without", "with"))
            more = told - without
            middle = [float(np.median(part)) for part in (without, told, more)]
            table.add(mode, *(f"{one:.1f}" for one in middle), f"{np.percentile(more, 95):.1f}")
    table.note = (
        f"Ten hits, vectors known beforehand; {TIMED} queries or more, with and without in turn."
    )
    return table


if __name__ == "__main__":
    main()
