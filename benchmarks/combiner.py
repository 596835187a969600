"""The weights of the reranker `combined`: learnt on training parts alone, then measured.

    python -m benchmarks.training_sets WORK/devset
    python -m benchmarks.combiner WORK train
    python -m benchmarks.combiner WORK measure [--only vaers2003] [--report] [--markdown PAGE]

`train` cuts its own sets, 2,000 VAERS reports each of 2000, 2001 and 2002 and the MTSamples
clusters with hash digits 0 to 5 (docs/training-sets.md), and writes
`drehr_rag/rerankers/combined.json`. `measure` looks at the sets that choose; with `--report`, at
those that report. What is measured is kept in WORK/combiner.json and not measured again: remove it
after training.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.optimize import minimize

from benchmarks import machine
from benchmarks.corpora import data_folder
from benchmarks.devsets import Devset, load, make_store
from benchmarks.expansion import CHOOSING, PAGE, REPORTING, Known, _by_match, _mean
from benchmarks.ranking import EVERYBODY, NDCG, Run, Scores, _p_value
from benchmarks.tables import Table, write_block
from benchmarks.training_sets.files import write_set
from benchmarks.training_sets.mtsamples import mtsamples
from benchmarks.training_sets.vaers import TRAINING, vaers
from drehr_rag.encoders import load_encoder
from drehr_rag.protocols import Retriever
from drehr_rag.rerankers import combined
from drehr_rag.rerankers._signals import NAMES, signals
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._asserted import asserted
from drehr_rag.retrievers._mentions import Wanted
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import Hit

MODULE = "benchmarks.combiner"
FILE = Path(combined.__file__).with_suffix(".json")
REPORTS = 2000
DIGITS = ((0, 1), (2, 3), (4, 5))
UNLEARNT = {"heading", "recency"}
"""Chunks of these sets stand under no heading, and their notes carry no time."""

HEAD = combined.Combined.depth
AT = 10
BELOW = 0.2
"""What a place below the tenth counts beside what nDCG@10 would give it, were it deeper."""

FAMILIES = {"vaers": 10.0, "mtsamples": 1.0}
"""What the sets count: people's labels more than those of rules that read the graph's own words.
Of 1, 3 and 10, on the sets that choose, 10 alone costs implications nothing."""

ROUNDS = 4
"""Times that pairs are weighed anew by the ranking that was learnt; then it hardly changes."""

START = 8.0
RIDGE = 1e-3
DRAWS = 10_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """One query and one match type: the relevant chunks of the others are taken out.

    Attributes:
        family: `vaers` or `mtsamples`.
        match: The match type, or `all`.
        signals: Shape (hits, signals).
        wanted: Which hits are relevant.
        relevant: How many chunks are, found or not.
    """

    family: str
    match: str
    signals: Floats
    wanted: NDArray[np.bool_]
    relevant: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Train or measure."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("what", choices=("train", "measure"))
    parser.add_argument("--report", action="store_true", help="measure on the sets that report")
    parser.add_argument("--only", choices=CHOOSING + REPORTING, help="measure this set, no table")
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    options = parser.parse_args(arguments)
    if options.what == "train":
        blocks = [one for name in training_sets(options.work) for one in read(options.work, name)]
        FILE.write_text(shipped(fit(blocks)), "utf-8")
        print(FILE.read_text("utf-8"))
        return
    if options.only:
        _both(options.work, options.only)
        return
    stamp = machine.describe(MODULE)
    table = measured(options.work, REPORTING if options.report else CHOOSING)
    table.show(Console(width=170))
    if options.markdown:
        head = f"- {stamp['date']}: `{stamp['command']}`\n- {stamp['machine']}"
        kind = "combiner-report" if options.report else "combiner"
        write_block(options.markdown, kind, f"{head}\n\n{table.markdown()}", by=MODULE)


# -- learning ----------------------------------------------------------------------------------


def training_sets(work: Path) -> list[str]:
    """The names of the training sets, cut if they are not there."""
    data = data_folder()
    cuts: dict[str, Any] = {f"train_vaers{y}": (vaers, data, y, REPORTS) for y in TRAINING}
    for digits in DIGITS:
        name = "train_mtsamples_" + "".join(map(str, digits))
        cuts[name] = (mtsamples, data, frozenset(digits))
    for name, (cut, *how) in cuts.items():
        if not (work / "devset" / name / "stats.json").exists():
            write_set(work / "devset" / name, cut(*how))
    return list(cuts)


def read(work: Path, name: str) -> Iterator[Block]:
    """The best hits of each query, denials left out: how far these sink is not learnt here."""
    devset, encoder = load(work, name), load_encoder("offline")
    print(f"{name}: {len(devset.passages)} chunks, {len(devset.queries)} queries", flush=True)
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(devset.queries.values())))
        retriever = load_retriever("expanded", encoder=known, store=store)
        for query, hits in _found(devset, retriever, HEAD):
            yield from blocks(name, devset.queries[query], hits, devset.qrels[query])


def blocks(name: str, query: str, hits: Sequence[Hit], labels: Mapping[str, str]) -> list[Block]:
    """One for each match type of a query that has something to learn from."""
    wanted = Wanted.of(query)
    known = signals(query, hits)
    rows = np.stack([known[one] for one in NAMES if one not in UNLEARNT], axis=1)
    told = np.array([wanted.said(hit) != "negated" for hit in hits])
    match = np.array([labels.get(hit.chunk.chunk_id, "") for hit in hits])
    made = []
    for kind, count in {"all": len(labels), **Counter(labels.values())}.items():
        relevant = match != "" if kind == "all" else match == kind
        kept = told & (relevant | (match == ""))
        if relevant[kept].any() and not relevant[kept].all():
            family = "vaers" if "vaers" in name else "mtsamples"
            made.append(Block(family, kind, rows[kept], relevant[kept], count))
    return made


def fit(made: Sequence[Block]) -> dict[str, float]:
    """Weights from 0 up by which relevant hits stand above the others.

    Pairwise logistic loss, each pair weighed by what swapping it changes in nDCG@10 (Burges 2010,
    LambdaRank); the match types of a family count the same, and so do the queries of a type: a
    frequent type is not paid for by a rarer one.
    """
    names = [name for name in NAMES if name not in UNLEARNT]
    shares = _shares(made)
    weights = np.zeros(len(names))
    weights[names.index("base")] = START
    free = np.array([name != "base" for name in names])
    for _ in range(ROUNDS):
        pairs, worth = [], []
        for block, share in zip(made, shares, strict=True):
            good, bad, change = _swaps(block, block.signals @ weights)
            pairs.append(block.signals[good] - block.signals[bad])
            worth.append(change * share)
        weights = _fitted(np.concatenate(pairs), np.concatenate(worth), weights, free)
    return dict(zip(names, map(float, weights / weights.sum()), strict=True))


def _shares(made: Sequence[Block]) -> Floats:
    queries = Counter((block.family, block.match) for block in made)
    types = Counter(family for family, _ in queries)
    return np.array(
        [FAMILIES[b.family] / (types[b.family] * queries[b.family, b.match]) for b in made]
    )


def _swaps(block: Block, scores: Floats) -> tuple[Any, Any, Floats]:
    """Every relevant hit with every other, and what swapping the two would change."""
    places = np.empty(len(scores), dtype=int)
    places[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    gains = np.where(places < AT, 1.0, BELOW) / np.log2(places + 2)
    ideal = (1 / np.log2(np.arange(min(AT, block.relevant)) + 2)).sum()
    good, bad = np.nonzero(block.wanted[:, None] & ~block.wanted[None, :])
    return good, bad, np.abs(gains[good] - gains[bad]) / ideal


def _fitted(pairs: Floats, worth: Floats, start: Floats, free: NDArray[np.bool_]) -> Floats:
    def loss(weights: Floats) -> tuple[float, Floats]:
        apart = pairs @ weights
        slope = -(pairs.T @ (worth * 0.5 * (1 - np.tanh(apart / 2))))
        ridge = RIDGE * (free * weights**2).sum()
        return (
            float((worth * np.logaddexp(0, -apart)).sum() + ridge),
            slope + 2 * RIDGE * free * weights,
        )

    bounds = [(0, None)] * len(start)
    found: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found


def shipped(weights: Mapping[str, float]) -> str:
    """The file in the package; weights of less than a hundredth are none."""
    kept = {name: weight for name, weight in weights.items() if weight >= 0.01}
    total = sum(kept.values())
    table = {
        "made_by": f"python -m {MODULE} WORK train",
        "learnt_from": [
            f"VAERS, {REPORTS} reports each of 2000, 2001 and 2002",
            "MTSamples, clusters with hash digits 0 to 5",
        ],
        "weights": {name: round(weight / total, 3) for name, weight in kept.items()},
    }
    return json.dumps(table, indent=2) + "\n"


# -- measuring ---------------------------------------------------------------------------------


def measured(work: Path, names: Sequence[str]) -> Table:
    """Mode expanded, denials told apart, without and with the combiner on top."""
    columns = ("set", "match", "expanded", "combined", "difference", "95 %", "p", "queries")
    use = "choose" if names == CHOOSING else "report"
    table = Table(f"Combined over `expanded`: the sets that {use}", columns, left=2)
    for name in names:
        one, other = _both(work, name)
        for match in one:
            old, new = one[match][str(NDCG)], other[match][str(NDCG)]
            gains = np.array([new[query] - old[query] for query in old])
            draws = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
            low, high = np.quantile(gains[draws].mean(axis=1), (0.025, 0.975))
            means = (_mean(one[match]), _mean(other[match]), f"{gains.mean():+.4f}")
            sure = (f"{low:+.3f} … {high:+.3f}", f"{_p_value(new, old):.4f}", len(gains))
            table.add(name, match, *means, *sure)
    table.note = (
        'nDCG@10, encoder `offline`, packaged graph, `assertion="ranked"`. 95 %: bootstrap over '
        "queries; p: paired randomisation test, two-sided. For one match type the relevant "
        "chunks of the others are taken out first."
    )
    return table


def _both(work: Path, name: str) -> list[dict[str, Scores]]:
    """Without and with it, by match type."""
    file = work / "combiner.json"
    held: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    if name not in held:
        held[name] = _searched(work, name)
        file.write_text(json.dumps(held))
    both: list[dict[str, Scores]] = held[name]
    return both


def _searched(work: Path, name: str) -> list[dict[str, Scores]]:
    devset, encoder = load(work, name), load_encoder("offline")
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(devset.queries.values())))
        parts: dict[str, Any] = {"encoder": known, "store": store}
        modes = (
            load_retriever("expanded", **parts),
            load_retriever("reranked", **parts, reranker="combined"),
        )
        return [_by_match(devset, _run(devset, asserted(mode, "ranked"))) for mode in modes]


def _run(devset: Devset, retriever: Retriever) -> Run:
    return {
        query: [hit.chunk.chunk_id for hit in hits]
        for query, hits in _found(devset, retriever, DEPTH)
    }


def _found(devset: Devset, retriever: Retriever, k: int) -> Iterator[tuple[str, list[Hit]]]:
    ids = list(devset.queries)
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        texts = [devset.queries[query] for query in page]
        found = retriever.retrieve(texts, scope=EVERYBODY, filters=NO_FILTERS, k=k)
        yield from zip(page, found, strict=True)


if __name__ == "__main__":
    main()
