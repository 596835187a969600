"""What telling senses apart brings to search: notes whose full names are abbreviated.

    python -m benchmarks.senses_search WORK [--markdown docs/measurements.md]

In the set `mtsamples_select` (in WORK/devset) every sense that the package's table knows is put as
its most frequent abbreviation, so that the full names, which are the queries, stand nowhere and
what each abbreviation means is known. What else in these notes had those letters is left out.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import data_folder
from benchmarks.devsets import Devset, load, make_store
from benchmarks.expansion import Known, Remembering, _by_match, _mean
from benchmarks.ranking import EVERYBODY, RECALL, Run
from benchmarks.senses import read_groups
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.packaged import FOLDER, INVENTORIES, SENSES, packaged_graph
from drehr_rag.kg.senses import Senses
from drehr_rag.notes.folding import fold
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._terms import GENERAL
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores._where import NO_FILTERS

MODULE = "benchmarks.senses_search"
MENTIONED = 3
"""Chunks that a query has at least."""


def abbreviated(devset: Devset, data: Path, told: Senses) -> tuple[Devset, dict[str, set[str]]]:
    """The set with full names abbreviated; by query the chunks that had its letters before."""
    shorts = {}
    for key, group in sorted(read_groups(data / "abbrev").items()):
        if key.upper() in told:
            for names, count in zip(group.names, group.spellings, strict=True):
                known = [short for short in sorted(count) if short in told]
                short = max(known, key=lambda one: count[one])
                for name in names:
                    shorts.setdefault(name, (short, names[0]))
    longest = sorted(shorts, key=lambda name: (-len(name), name))
    names = re.compile(rf"\b({'|'.join(map(re.escape, longest))})\b", re.IGNORECASE)
    passages, meant = {}, defaultdict(set)
    for key, text in devset.passages.items():
        for found in names.findall(text):
            meant[shorts[found.lower()]].add(key)
        passages[key] = names.sub(lambda found: shorts[found[0].lower()][0], text)
    graph = packaged_graph()
    asked = {
        name: (short, chunks)
        for (short, name), chunks in sorted(meant.items())
        if len(chunks) >= MENTIONED
        and graph.concepts(name)
        and not all(word in GENERAL for word in fold(name))
    }
    before = {
        name: {k for k, text in devset.passages.items() if re.search(rf"\b{short}\b", text)}
        for name, (short, _) in asked.items()
    }
    qrels = {name: dict.fromkeys(chunks, "abbreviation") for name, (_, chunks) in asked.items()}
    made = replace(
        devset, name="abbreviated", passages=passages, queries={n: n for n in asked}, qrels=qrels
    )
    return made, before


def measure(work: Path) -> Table:
    """nDCG@10 and Recall@100 with and without what tells senses apart."""
    told = Senses(SENSES)
    devset, before = abbreviated(load(work, "mtsamples_select"), data_folder(), told)
    encoder = load_encoder("offline")
    files = [FOLDER / "abbreviations" / name for name in INVENTORIES]
    with TemporaryDirectory(dir=work) as folder:
        bare = Path(folder) / "senses.tsv"
        rows = (line.split("\t")[:2] for line in SENSES.read_text("utf-8").splitlines())
        bare.write_text("".join("\t".join([*row, ""]) + "\n" for row in rows), "utf-8")
        ways = {
            "the first inventory that counted": Inventory(files),
            "four counts, as capitalised": Inventory(files, Senses(bare)),
            "and heading and words around": Inventory(files, told),
        }
        table = Table("Search for abbreviated names", ("sense by", "nDCG@10", "Recall@100", "p50"))
        with make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store:
            known = Known(encoder, list(devset.queries.values()))
            parts: dict[str, Any] = {"encoder": known, "store": Remembering(store)}
            for name, inventory in ways.items():
                retriever = load_retriever(
                    "expanded", **parts, graph=packaged_graph(), abbreviations=inventory
                )
                for _ in range(2):  # the second finds every answer of the store in memory
                    run, took = _run(devset, retriever)
                left = {q: [c for c in run[q] if _counts(c, q, devset, before)] for q in run}
                scores = _by_match(devset, left)["all"]
                table.add(name, _mean(scores), _mean(scores, RECALL), f"{1000 * took:.1f} ms")
    judged = sum(map(len, devset.qrels.values()))
    table.note = (
        f"Mode `expanded` on {len(devset.passages):,} chunks of mtsamples_select, full names put "
        f"as abbreviations; {len(devset.queries)} queries, {judged:,} chunks that mean them. p50: "
        "of a query whose vector and whose store's answers are known."
    )
    return table


def _counts(chunk: str, query: str, devset: Devset, before: dict[str, set[str]]) -> bool:
    return chunk in devset.qrels[query] or chunk not in before[query]


def _run(devset: Devset, retriever: Any) -> tuple[Run, float]:
    run: Run = {}
    took = []
    for query, text in devset.queries.items():
        began = perf_counter()
        (found,) = retriever.rank([text], scope=EVERYBODY, filters=NO_FILTERS, k=DEPTH)
        took.append(perf_counter() - began)
        run[query] = [one.chunk_id for one in found]
    return run, float(np.median(took))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    options = parser.parse_args(arguments)
    stamp = machine.describe(MODULE)
    table = measure(options.work)
    table.show(Console(width=170))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        text = f"## Search for abbreviated names\n\n{head}\n\n{table.markdown()}"
        write_block(options.markdown, "senses-search", text, by=MODULE)


if __name__ == "__main__":
    main()
