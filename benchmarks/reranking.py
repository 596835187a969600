"""What late interaction adds to a search, by match type, and how its depth and share were chosen.

    python -m benchmarks.training_sets WORK/devset
    python -m benchmarks.reranking WORK [--only vaers2003 [--base expanded]]
    python -m benchmarks.reranking WORK --markdown docs/measurements.md

What is done is kept in WORK/reranking.json and not done again; so are the reranker's scores, in
WORK/runs, so that what was interrupted goes on. Depth and share are chosen on
vaers2003 and mtsamples_select; the other sets report.
"""

import argparse
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.devsets import load, make_store
from benchmarks.expansion import (
    CHOOSING,
    PACKAGED,
    REPORTING,
    Held,
    Known,
    _by_match,
    _expanded,
    _mean,
)
from benchmarks.ranking import EVERYBODY, NDCG, _p_value
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder
from drehr_rag.kg.packaged import packaged_inventory
from drehr_rag.protocols import Reranker, Retriever
from drehr_rag.rerankers import load_reranker
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import Hit

MODULE = "benchmarks.reranking"
BASES = ("hybrid", "expanded")
DEPTHS = (10, 20, 50)
SHARES = (0.1, 0.2, 0.3, 0.5, 1.0)
DEFAULT = (20, 0.3)
"""Depth and share whose row reports."""

OFTEN = 400
"""Scores after which they are kept."""

ALL = 10_000
"""Passages whose token vectors are kept: those of a whole set."""


class Once:
    """A base and a reranker that are asked once, whatever depth and share are tried."""

    name = "once"

    def __init__(self, base: Retriever, reranker: Reranker, file: Path) -> None:
        self._base, self._reranker, self._file = base, reranker, file
        self._hits: dict[str, list[Hit]] = {}
        self._scores: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        self._saved = len(self._scores)

    def retrieve(self, queries: Sequence[str], **how: Any) -> list[list[Hit]]:
        """The base's 200 best, for one scope and no filters."""
        for query in queries:
            if query not in self._hits:
                self._hits[query] = self._base.retrieve([query], **{**how, "k": DEPTH})[0]
        return [self._hits[query][: how["k"]] for query in queries]

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """The reranker's."""
        keys = [sha256(f"{query}\0{text}".encode()).hexdigest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._scores}
        made = self._reranker.score(query, list(new.values()))
        self._scores |= dict(zip(new, made, strict=True))
        if len(self._scores) - self._saved > OFTEN:
            self.save()
        return [self._scores[key] for key in keys]

    def save(self) -> None:
        """Keep what the reranker said."""
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_text(json.dumps(self._scores))
        self._saved = len(self._scores)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not measured yet, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("--only", choices=CHOOSING + REPORTING, help="measure this set, no tables")
    parser.add_argument("--base", choices=BASES, help="with --only: over this mode alone")
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    stamp, file = machine.describe(MODULE), options.work / "reranking.json"
    held: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in (options.only,) if options.only else CHOOSING + REPORTING:
        left = [base for base in BASES if base not in held.get(name, {})]
        if left := [base for base in left if options.base in (None, base)]:
            held.setdefault(name, {}).update(measure(options.work, name, left))
            file.write_text(json.dumps(held))
    if options.only:
        return
    tables = [_choosing(held), *(_reported(name, held) for name in REPORTING), _significance(held)]
    for table in tables:
        table.show(Console(width=170))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        body = "\n\n".join(table.markdown() for table in tables)
        write_block(options.markdown, "reranking", f"## Reranking\n\n{head}\n\n{body}", by=MODULE)


def measure(work: Path, name: str, bases: Sequence[str] = BASES) -> dict[str, Any]:
    """Variant → match type → scores, and the bases alone."""
    devset, encoder = load(work, name), load_encoder("offline")
    ways = [(d, s) for d in DEPTHS for s in SHARES] if name in CHOOSING else [DEFAULT]
    reranker = load_reranker("late-interaction", encoder=encoder, kept=ALL)
    found: dict[str, Any] = {}
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(devset.queries.values())))
        parts: dict[str, Any] = {"encoder": known, "store": store}
        for base in bases:
            searching = (
                load_retriever(base, **parts)
                if base == "hybrid"
                else _expanded(parts, PACKAGED, {}, work, packaged_inventory())
            )
            once = Once(searching, reranker, work / "runs" / f"{name} {base} scores.json")
            for depth, share in [(1, 0.0), *ways]:
                began = perf_counter()
                retriever = load_retriever(
                    "reranked", **parts, base=once, reranker=once, depth=depth, share=share
                )
                texts = list(devset.queries.values())
                hits = retriever.retrieve(texts, scope=EVERYBODY, filters=NO_FILTERS, k=DEPTH)
                run = {
                    query: [hit.chunk.chunk_id for hit in some]
                    for query, some in zip(devset.queries, hits, strict=True)
                }
                variant = f"{base} {depth} {share}" if share else base
                found[variant] = _by_match(devset, run)
                print(f"{name}, {variant}: {perf_counter() - began:.0f} s", flush=True)
            once.save()
    return found


# -- tables ------------------------------------------------------------------------------------


def _choosing(held: Held) -> Table:
    matches = [(name, match) for name in CHOOSING for match in held[name]["hybrid"]]
    columns = ("base", "depth", "share", *(f"{name}, {match}" for name, match in matches))
    table = Table("Reranking: choosing depth and share", (*columns, "mean of all"), left=1)
    for variant in held[CHOOSING[0]]:
        base, _, way = variant.partition(" ")
        depth, _, share = way.partition(" ")
        row = [_mean(held[name][variant][match]) for name, match in matches]
        whole = float(np.mean([_mean(held[name][variant]["all"]) for name in CHOOSING]))
        table.add(base, depth or "–", share or "–", *row, whole)
    table.note = (
        "nDCG@10, encoder `offline`, packaged graph, reranker `late-interaction`; without a depth: "
        "the base alone."
    )
    return table


def _reported(name: str, held: Held) -> Table:
    mine = held[name]
    table = Table(f"Reranking: {name}", ("match", *mine))
    for match in mine["hybrid"]:
        table.add(match, *(_mean(mine[variant][match]) for variant in mine))
    table.note = "nDCG@10; base, depth and share as chosen above."
    return table


def _significance(held: Held) -> Table:
    columns = ("set", "pair", "difference", "p")
    table = Table("Reranking: is the difference chance?", columns, left=2)
    depth, share = DEFAULT
    for name in REPORTING:
        for base in BASES:
            one, other = (
                held[name][v]["all"][str(NDCG)] for v in (f"{base} {depth} {share}", base)
            )
            gain = float(np.mean([one[query] - other[query] for query in one]))
            label = f"reranked − {base}"
            table.add(name, label, f"{gain:+.4f}", f"{_p_value(one, other):.4f}")
    table.note = "nDCG@10, all match types; paired randomisation test over queries, two-sided."
    return table


if __name__ == "__main__":
    main()
