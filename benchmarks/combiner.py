"""Whether a learnt mixture of the signals on a hit beats the fusion of mode `expanded`.

    python -m benchmarks.training_sets WORK/devset
    python -m benchmarks.combiner WORK [--markdown docs/measurements.md]

Linear, pairwise: of two of the 100 best hits the relevant one should have the higher sum; pairs
count by what they change of nDCG. Five folds over the queries of the two choosing sets together,
each set counting the same; nothing that reports is looked at. Signals are kept in WORK/signals.
"""

import argparse
from collections.abc import Mapping, Sequence
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
from benchmarks.expansion import CHOOSING, INVENTORIES, Known, _by_match, _expanded, _mean
from benchmarks.ranking import EVERYBODY, NDCG, _p_value
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder
from drehr_rag.kg.inventories import Inventory
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import Hit

MODULE = "benchmarks.combiner"
SIGNALS = ("dense", "expanded", "lexical", "synonym", "abbreviation", "hyponym", "matches")
FEW = ("dense", "expanded")
FOLDS = 5
TOP = 100
PAIRS = 300
"""Pairs of a query, those that change nDCG most."""

RIDGE = 1e-3
PAGE = 40

Numbers = NDArray[np.float64]


@dataclass
class Signals:
    """A set's hits: query number, chunk and signals of each, in the order of `expanded`."""

    devset: Devset
    query: NDArray[np.int64]
    chunks: list[str]
    values: Numbers

    def rows(self, queries: NDArray[np.int64]) -> NDArray[np.int64]:
        """The hits of these queries."""
        return np.flatnonzero(np.isin(self.query, queries))

    def scores(self, totals: Numbers) -> dict[str, Any]:
        """Match type → scores of each query, if hits stand by these totals."""
        run: dict[str, list[str]] = {}
        for number, name in enumerate(self.devset.queries):
            mine = self.rows(np.array([number]))
            order = mine[np.argsort(-totals[mine], kind="stable")]
            run[name] = [self.chunks[row] for row in order]
        return _by_match(self.devset, run)


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect, fit, cross-validate, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    options = parser.parse_args(arguments)
    stamp = machine.describe(MODULE)
    sets = [collected(options.work, name) for name in CHOOSING]
    table = _table(sets)
    table.show(Console(width=170))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        text = f"## A learnt mixture of signals\n\n{head}\n\n{table.markdown()}"
        write_block(options.markdown, "combiner", text, by=MODULE)


def collected(work: Path, name: str) -> Signals:
    """The signals of a set's hits, searched for once."""
    devset, file = load(work, name), work / "signals" / f"{name}.npz"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        rows = list(_searched(work, devset))
        np.savez(
            file,
            query=np.array([query for query, _, _ in rows]),
            chunks=np.array([chunk for _, chunk, _ in rows]),
            values=np.array([values for _, _, values in rows]),
        )
    held = np.load(file)
    return Signals(devset, held["query"], held["chunks"].tolist(), held["values"])


def _searched(work: Path, devset: Devset) -> list[tuple[int, str, list[float]]]:
    encoder, data = load_encoder("offline"), data_folder()
    texts = list(devset.queries.values())
    inventory = Inventory(data / "abbrev" / one for one in INVENTORIES)
    rows: list[tuple[int, str, list[float]]] = []
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(texts)))
        retriever = _expanded({"encoder": known, "store": store}, {}, {}, work, inventory)
        for start in range(0, len(texts), PAGE):
            page = texts[start : start + PAGE]
            found = retriever.retrieve(page, scope=EVERYBODY, filters=NO_FILTERS, k=DEPTH)
            for number, hits in enumerate(found, start):
                names = [hit.chunk.chunk_id for hit in hits]
                rows += [(number, *row) for row in zip(names, signals(hits), strict=True)]
    return rows


def signals(hits: Sequence[Hit]) -> list[list[float]]:
    """`SIGNALS` of each hit, all from 0 to 1."""
    dense = [hit.scores["dense"] for hit in hits if "dense" in hit.scores]
    low, high = min(dense, default=0.0), max(dense, default=0.0)
    top = {
        stage: max((hit.scores.get(stage, 0.0) for hit in hits), default=0.0) or 1.0
        for stage in ("expanded", "lexical")
    }
    rows = []
    for hit in hits:
        words = {stage: hit.scores.get(stage, 0.0) / best for stage, best in top.items()}
        if not any("expanded" in one.scores for one in hits):
            words["expanded"] = words["lexical"]
        kinds = {
            kind: max((m.weight for m in hit.matches if m.kind == kind), default=0.0)
            for kind in ("synonym", "abbreviation", "hyponym")
        }
        near = (hit.scores.get("dense", low) - low) / ((high - low) or 1.0)
        rows.append([near, *words.values(), *kinds.values(), len(hit.matches) / 5])
    return rows


# -- fitting -----------------------------------------------------------------------------------


def fitted(parts: Sequence[tuple[Signals, NDArray[np.int64]]], columns: list[int]) -> Numbers:
    """A weight for each column, from these queries of these sets."""
    found = [_pairs(held, query, columns) for held, some in parts for query in some]
    shares = [1 / len(some) for _, some in parts for _ in some]
    steps = np.concatenate([step for step, _ in found])
    weights = np.concatenate([w * share for (_, w), share in zip(found, shares, strict=True)])
    weights /= weights.sum()
    spread = steps.std(axis=0) + 1e-9
    scaled = steps / spread

    def loss(x: Numbers) -> tuple[float, Numbers]:
        margins = scaled @ x
        slope = -(weights / (1 + np.exp(margins))) @ scaled
        value = float(weights @ np.logaddexp(0, -margins))
        return value + RIDGE * float(x @ x), slope + 2 * RIDGE * x

    made = minimize(loss, np.zeros(len(columns)), jac=True, method="L-BFGS-B")
    weight: Numbers = made.x / spread
    return weight


def _pairs(held: Signals, query: int, columns: list[int]) -> tuple[Numbers, Numbers]:
    """What parts relevant hits from others, and what nDCG changes where they change places."""
    mine = held.rows(np.array([query]))[:TOP]
    judged = held.devset.qrels[list(held.devset.queries)[query]]
    relevant = np.array([held.chunks[row] in judged for row in mine])
    values = held.values[mine][:, columns]
    gain = 1 / np.log2(np.arange(2, len(mine) + 2))
    gain[10:] *= 0.3  # beyond what nDCG@10 sees, so that a query whose hits are low teaches too
    ideal = (1 / np.log2(np.arange(2, 2 + min(10, max(1, relevant.sum()))))).sum()
    steps = values[relevant][:, None, :] - values[~relevant][None, :, :]
    weights = np.abs(gain[relevant][:, None] - gain[~relevant][None, :]) / ideal
    best = np.argsort(-weights.ravel(), kind="stable")[:PAIRS]
    return steps.reshape(-1, len(columns))[best], weights.ravel()[best]


def validated(
    sets: Sequence[Signals], names: Sequence[str]
) -> tuple[dict[str, Numbers], Mapping[str, float]]:
    """Totals of each set's hits by weights that never saw their query, and the mean weights."""
    columns = [SIGNALS.index(name) for name in names]
    chance = np.random.default_rng(0)
    folds = {s.devset.name: chance.permutation(len(s.devset.queries)) % FOLDS for s in sets}
    totals = {s.devset.name: np.zeros(len(s.chunks)) for s in sets}
    made = []
    for fold in range(FOLDS):
        kept = [(s, np.flatnonzero(folds[s.devset.name] != fold)) for s in sets]
        made.append(fitted(kept, columns))
        for held in sets:
            rows = held.rows(np.flatnonzero(folds[held.devset.name] == fold))
            totals[held.devset.name][rows] = held.values[rows][:, columns] @ made[-1]
    mean = np.mean(made, axis=0)
    return totals, dict(zip(names, (mean / mean.sum()).round(2).tolist(), strict=True))


def _table(sets: Sequence[Signals]) -> Table:
    columns = ("set", "match", "expanded", "dense and expanded", "p", "all signals", "p")
    table = Table("A learnt mixture against the fusion of `expanded`", columns, left=2)
    ways = {names: validated(sets, names) for names in (FEW, SIGNALS)}
    for held in sets:
        as_found = held.scores(-np.arange(len(held.chunks), dtype=np.float64))
        by_way = {names: held.scores(ways[names][0][held.devset.name]) for names in ways}
        for match, base in as_found.items():
            row: list[Any] = [_mean(base)]
            for scores in by_way.values():
                one, other = scores[match][str(NDCG)], base[str(NDCG)]
                row += [_mean(scores[match]), f"{_p_value(one, other):.4f}"]
            table.add(held.devset.name, match, *row)
    told = "; ".join(", ".join(f"{n} {w:g}" for n, w in made.items()) for _, made in ways.values())
    table.note = (
        f"nDCG@10, encoder `offline`, {FOLDS} folds over queries; p: paired randomisation test "
        f"against `expanded`, two-sided. Mean weights, as shares: {told}."
    )
    return table


if __name__ == "__main__":
    main()
