"""Part D: nDCG@10 and Recall@100 on the development sets, and how the fusion was chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
from ir_measures import Qrel, R, ScoredDoc, nDCG

from benchmarks.devsets import Devset, load, make_store
from benchmarks.tables import Table
from drehr_rag.protocols import Encoder
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._bm25 import sparse_queries
from drehr_rag.retrievers._fusion import (
    DENSE_SHARE,
    Fusion,
    reciprocal_ranks,
    relative_scores,
)
from drehr_rag.retrievers.hybrid import DEPTH, fused_as_points
from drehr_rag.stores import ScopedStore
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import AllPatients, Ranked

NAMES = ("mtsamples", "vaers2004")
MODES = ("lexical", "dense", "rrf", "hybrid")
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
DEPTHS = (50, 200, 400)
DEEP = 400
NDCG, RECALL = nDCG @ 10, R @ 100
EVERYBODY = AllPatients(reason="benchmark")
LOSERS = 10
FLIPS = 10_000
PAGE = 50

Run = dict[str, list[str]]
"""Query id → chunk ids, best first."""

Scores = dict[str, dict[str, float]]
"""Measure → query id → value."""


@dataclass(frozen=True)
class Sides:
    """A set and what either side found: query id → ranking, `DEEP` deep."""

    devset: Devset
    sides: Mapping[str, Mapping[str, list[Ranked]]]

    def fused(self, function: Fusion, depth: int = DEPTH) -> Run:
        """Every query's fused ranking, not cut, of so many hits of each side."""
        runs: Run = {}
        for query in self.devset.queries:
            sides = {side: found[query][:depth] for side, found in self.sides.items()}
            fused = fused_as_points(function, sides)
            runs[query] = [one.chunk_id for one in fused]
        return runs

    def run(self, mode: str) -> Run:
        """The ranking of a mode."""
        if mode in self.sides:
            found = self.sides[mode]
            return {query: [one.chunk_id for one in ranking] for query, ranking in found.items()}
        return self.fused(relative_scores if mode == "hybrid" else reciprocal_ranks)


def measure(
    data: Path, encoder: Encoder, scratch: Path, cache: Path, every: int
) -> tuple[list[Table], dict[str, Any]]:
    """All tables of both sets."""
    sets: dict[str, Sides] = {}
    for name in NAMES:
        devset = load(data, name, every)
        with make_store(devset, encoder, scratch / name, cache) as store:
            sets[name] = _ranked(devset, store, encoder)
    tables: list[Table] = []
    facts: dict[str, Any] = {}
    details = {name: _by_mode(ranked) for name, ranked in sets.items()}
    for name, by_mode in details.items():
        tables += _match_tables(sets[name].devset, by_mode)
        facts[name] = {
            match: {mode: _means(scores) for mode, scores in modes.items()}
            for match, modes in by_mode.items()
        }
    tables.append(_significance(details, facts))
    tables += [_sweep(sets, facts), _depths(sets, facts)]
    for name, by_mode in details.items():
        tables.append(_losers(sets[name].devset, by_mode["all"], facts))
    return tables, facts


# -- searching ---------------------------------------------------------------------------------


def _ranked(devset: Devset, store: ScopedStore, encoder: Encoder) -> Sides:
    """Ask either side for `DEEP` hits a query."""
    ids, texts = list(devset.queries), list(devset.queries.values())
    dense, sparse = encoder.encode_queries(texts), sparse_queries(texts)
    sides: dict[str, dict[str, list[Ranked]]] = {"dense": {}, "lexical": {}}
    for start in range(0, len(ids), PAGE):
        page = slice(start, start + PAGE)
        found = {
            "dense": store.rank_dense(dense[page], scope=EVERYBODY, k=DEEP),
            "lexical": store.rank_sparse(sparse[page], scope=EVERYBODY, k=DEEP),
        }
        for side, rankings in found.items():
            sides[side].update(zip(ids[page], rankings, strict=True))
    ranked = Sides(devset, sides)
    _check(ranked, store, encoder)
    return ranked


def _check(ranked: Sides, store: ScopedStore, encoder: Encoder) -> None:
    """What is measured here must be what a search gives."""
    some = dict(list(ranked.devset.queries.items())[:20])
    for mode in ("rrf", "hybrid"):
        retriever = load_retriever(mode, encoder=encoder, store=store)
        given = retriever.retrieve(list(some.values()), scope=EVERYBODY, filters=NO_FILTERS, k=10)
        ours = ranked.run(mode)
        for query, hits in zip(some, given, strict=True):
            if [hit.chunk.chunk_id for hit in hits] != ours[query][:10]:
                raise RuntimeError(f"{mode} in the benchmark differs from a search for {query}")


# -- measuring ---------------------------------------------------------------------------------


def _scores(run: Run, qrels: Mapping[str, Mapping[str, str]], match: str = "all") -> Scores:
    """nDCG@10 and Recall@100 of each query that has a relevant chunk of this match type.

    Relevant chunks of other types are taken out of the ranking first.
    """
    judged: list[Qrel] = []
    docs: list[ScoredDoc] = []
    for query, labels in qrels.items():
        wanted = {chunk for chunk, label in labels.items() if match in ("all", label)}
        if not wanted:
            continue
        judged += [Qrel(query, chunk, 1) for chunk in wanted]
        kept = [chunk for chunk in run.get(query, ()) if chunk in wanted or chunk not in labels]
        docs += [ScoredDoc(query, chunk, -float(rank)) for rank, chunk in enumerate(kept)]
    values: Scores = {str(m): {qrel.query_id: 0.0 for qrel in judged} for m in (NDCG, RECALL)}
    for metric in ir_measures.iter_calc([NDCG, RECALL], judged, docs):
        values[str(metric.measure)][metric.query_id] = float(metric.value)
    return values


def _by_mode(ranked: Sides) -> dict[str, dict[str, Scores]]:
    """Match type → mode → scores."""
    runs = {mode: ranked.run(mode) for mode in MODES}
    qrels = ranked.devset.qrels
    return {
        match: {mode: _scores(run, qrels, match) for mode, run in runs.items()}
        for match in ("all", *ranked.devset.matches)
    }


def _means(scores: Scores) -> dict[str, float]:
    return {name: float(np.mean(list(values.values()))) for name, values in scores.items()}


def _p_value(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Paired randomisation test, two-sided: how often chance alone parts them as far."""
    differences = np.array([first[query] - second[query] for query in first])
    signs = np.random.default_rng(0).integers(0, 2, (FLIPS, len(differences)), dtype=np.int8)
    flipped = np.abs((2.0 * signs - 1.0) @ differences)
    return float((1 + np.sum(flipped >= abs(differences.sum()) - 1e-12)) / (1 + FLIPS))


def _with_share(share: float) -> Fusion:
    """`relative_scores` with another `DENSE_SHARE`; the package's own stays as it is."""
    return partial(relative_scores, dense_share=share)


# -- tables ------------------------------------------------------------------------------------


def _match_tables(devset: Devset, by_mode: Mapping[str, Mapping[str, Scores]]) -> list[Table]:
    tables = []
    judgments = [label for labels in devset.qrels.values() for label in labels.values()]
    for measure_ in (NDCG, RECALL):
        name = str(measure_)
        table = Table(f"D. {devset.name}: {_name(name)}", ("match", *MODES, "queries", "judgments"))
        for match, modes in by_mode.items():
            count = len(judgments) if match == "all" else judgments.count(match)
            means = [_means(modes[mode])[name] for mode in MODES]
            table.add(match, *means, len(modes["hybrid"][name]), count)
        tables.append(table)
    tables[-1].note = (
        f"{len(devset.passages):,} chunks. For one match type the relevant chunks of the other "
        f"types are taken out first. Rankings: {DEEP} deep; rrf and hybrid fuse {DEPTH} of each "
        "side, as a search does."
    )
    return tables


def _significance(
    details: Mapping[str, Mapping[str, Mapping[str, Scores]]], facts: dict[str, Any]
) -> Table:
    columns = ("set", "measure", "pair", "difference", "p", "better", "worse", "equal")
    table = Table("D. Is the difference chance?", columns, left=3)
    for name, by_mode in details.items():
        for measure_ in (NDCG, RECALL):
            key = str(measure_)
            scores = {mode: by_mode["all"][mode][key] for mode in MODES}
            for mode, other in (("hybrid", "lexical"), ("hybrid", "rrf"), ("rrf", "lexical")):
                gains = np.array([scores[mode][q] - scores[other][q] for q in scores[mode]])
                p = _p_value(scores[mode], scores[other])
                better, worse = int(np.sum(gains > 1e-9)), int(np.sum(gains < -1e-9))
                table.add(name, _name(key), f"{mode} − {other}", f"{gains.mean():+.4f}",
                          f"{p:.4f}", better, worse, len(gains) - better - worse)  # fmt: skip
                facts[name].setdefault("p", {})[f"{mode} - {other}, {key}"] = p
    verdicts = []
    for name, by_mode in details.items():
        means = {mode: _means(by_mode["all"][mode])[str(NDCG)] for mode in MODES}
        best = max(means["lexical"], means["dense"])
        state = "met" if means["hybrid"] >= best else "NOT met"
        verdicts.append(f"{name} {means['hybrid']:.3f} against {best:.3f}: {state}")
    table.note = (
        f"Paired randomisation test over queries, two-sided, {FLIPS:,} flips. Goal: hybrid does "
        f"not lose to the better of its parts in nDCG@10 overall: {'; '.join(verdicts)}."
    )
    return table


def _sweep(sets: Mapping[str, Sides], facts: dict[str, Any]) -> Table:
    columns = (
        "dense share",
        *(f"{name}, {_name(str(m))}" for name in sets for m in (NDCG, RECALL)),
    )
    table = Table("D. Choosing the fusion", columns)
    functions: dict[str, Fusion] = {f"{share:.1f}": _with_share(share) for share in SHARES}
    results = _fusions(sets, {key: (function, DEPTH) for key, function in functions.items()})
    plain = _fusions(sets, {"plain rrf": (reciprocal_ranks, DEPTH)})
    for label, means in {**results, **plain}.items():
        table.add(label, *(means[name][str(m)] for name in sets for m in (NDCG, RECALL)))
    said = []
    for chosen_on, reported_on in (NAMES, NAMES[::-1]):
        best = max(results, key=lambda label: results[label][chosen_on][str(NDCG)])
        value = results[best][reported_on][str(NDCG)]
        lexical = facts[reported_on]["all"]["lexical"][str(NDCG)]
        said.append(
            f"Chosen on {chosen_on}: {best}; reported on {reported_on}: nDCG@10 {value:.3f} "
            f"(lexical {lexical:.3f})."
        )
    table.note = (
        f"`relative_scores` with other shares of the dense score; the package's is "
        f"{DENSE_SHARE}. {' '.join(said)}"
    )
    facts["sweep"] = {**results, **plain}
    return table


def _depths(sets: Mapping[str, Sides], facts: dict[str, Any]) -> Table:
    columns = (
        "hits of each side",
        *(f"{n}, {_name(str(m))}" for n in sets for m in (NDCG, RECALL)),
    )
    table = Table("D. How deep to fuse", columns)
    results = _fusions(sets, {str(depth): (relative_scores, depth) for depth in DEPTHS})
    for label, means in results.items():
        table.add(label, *(means[name][str(m)] for name in sets for m in (NDCG, RECALL)))
    table.note = f"Hybrid with the package's share; a search takes {DEPTH}."
    facts["depths"] = results
    return table


def _fusions(
    sets: Mapping[str, Sides], ways: Mapping[str, tuple[Fusion, int]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Way → set → measure → mean."""
    return {
        label: {
            name: _means(_scores(ranked.fused(function, depth), ranked.devset.qrels))
            for name, ranked in sets.items()
        }
        for label, (function, depth) in ways.items()
    }


def _losers(devset: Devset, by_mode: Mapping[str, Scores], facts: dict[str, Any]) -> Table:
    columns = ("query", "match types", *MODES, "loss", "relevant")
    table = Table(f"D. {devset.name}: the queries that lose most", columns, left=2)
    scores = {mode: by_mode[mode][str(NDCG)] for mode in MODES}
    losses = {
        query: max(scores["lexical"][query], scores["dense"][query]) - scores["hybrid"][query]
        for query in scores["hybrid"]
    }
    order: Sequence[str] = sorted(losses, key=lambda query: (-losses[query], query))
    for query in order[:LOSERS]:
        labels = devset.qrels[query]
        kinds = ", ".join(sorted(set(labels.values())))
        table.add(devset.queries[query], kinds, *(scores[mode][query] for mode in MODES),
                  losses[query], len(labels))  # fmt: skip
    lost = sum(loss > 1e-9 for loss in losses.values())
    table.note = (
        f"nDCG@10; loss: the better of lexical and dense, less hybrid. {lost:,} of "
        f"{len(losses):,} queries lose something against the better part of each."
    )
    facts[devset.name]["losers"] = [devset.queries[query] for query in order[:LOSERS]]
    return table


def _name(measure_: str) -> str:
    return measure_.replace("R@", "Recall@")
