"""What a knowledge graph adds to hybrid search, by match type, and how its weights were chosen.

    python -m benchmarks.training_sets WORK/devset
    python -m benchmarks.expansion WORK [--only vaers2003] [--markdown docs/measurements.md]

What is done is kept in WORK/expansion.json and not done again. Weights are chosen on vaers2003 and
mtsamples_select; the other sets report.
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
from benchmarks.kg_terms import shared_graph
from benchmarks.ranking import EVERYBODY, NDCG, RECALL, Run, Scores, _p_value, _scores
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder
from drehr_rag.kg import StoredGraph, build_graph
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.packaged import packaged_graph, packaged_inventory
from drehr_rag.protocols import Encoder, Retriever
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.stores import ScopedStore
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import Chunk, Ranked, SparseVector

MODULE = "benchmarks.expansion"
CHOOSING = ("vaers2003", "mtsamples_select")
REPORTING = ("vaers2004_clean", "mtsamples_report")
INVENTORIES = (
    "vanderbilt_discharge_sums.tsv",
    "vanderbilt_clinic_notes.tsv",
    "stetson_signout.tsv",
    "columbia_obgyn.txt",
    "berman_pathology.txt",
)
"""The most trusted first; Wikipedia's is left out for its licence."""

GRAPHS = {
    "hpo": ("hpo_2013.obo.gz", "hpo_layperson_synonyms_2026.tsv.gz", "hpo_labels_recent.tsv.gz"),
    "ncit+doid": (
        "doid_2018.obographs.json.gz",
        "ncit_disease_2018.obographs.json.gz",
        "mondo_exactmatch_doid.sssom.tsv.gz",
        "mondo_exactmatch_ncit.sssom.tsv.gz",
    ),
}
"""Parts of the sources, against labels that come of all of them."""

PAGE = 40
WHOLE = "expanded"
MODES = ("lexical", "rrf", "hybrid")
PACKAGED = {"graph": "packaged", "abbreviations": packaged_inventory}
REPORTED: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "packaged": PACKAGED,
    "no inventory": {"abbreviations": None},
    "hpo alone": {"graph": "hpo"},
    "ncit+doid": {"graph": "ncit+doid"},
}
CHOSEN: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "packaged": PACKAGED,
    "packaged, no inventory": {"graph": "packaged", "abbreviations": None},
    **{f"synonym {w}": {"weights": {"synonym": w}} for w in (0.6, 1.0)},
    **{f"abbreviation {w}": {"weights": {"abbreviation": w}} for w in (0.6, 1.0)},
    **{f"hyponym {w}": {"weights": {"hyponym": w}} for w in (0.0, 0.3, 0.7, 0.9)},
    "related 0.3": {"weights": {"related": 0.3}},
    **{f"steps {n}": {"steps": n} for n in (1, 3)},
    **{f"dense share {w}": {"dense_share": w} for w in (0.2, 0.4)},
}

Held = dict[str, dict[str, dict[str, Scores]]]
"""Set → variant → match type → scores."""


class Remembering:
    """A store that asks once: variants of weights look for the same terms."""

    def __init__(self, store: ScopedStore) -> None:
        self._store = store
        self._found: dict[tuple[Any, ...], list[Ranked]] = {}
        self._chunks: dict[str, Chunk] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def rank_sparse(self, vectors: Sequence[SparseVector], **how: Any) -> list[list[Ranked]]:
        """As the store's, for one scope and no filters."""
        keys = [(v.indices, v.values, how["k"], how.get("named", True)) for v in vectors]
        fresh = [n for n, key in enumerate(keys) if key not in self._found]
        found = self._store.rank_sparse([vectors[n] for n in fresh], **how)
        self._found |= {keys[n]: ranking for n, ranking in zip(fresh, found, strict=True)}
        return [self._found[key] for key in keys]

    def at(self, points: Sequence[str], **how: Any) -> dict[str, Chunk]:
        """Likewise."""
        fresh = [point for point in points if point not in self._chunks]
        self._chunks |= self._store.at(fresh, **how)
        return {point: self._chunks[point] for point in points if point in self._chunks}


class Known:
    """An encoder that has encoded these queries already."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        made = encoder.encode_queries(texts)
        self._vectors = dict(zip(texts, made, strict=True))

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Their vectors."""
        return np.stack([self._vectors[text] for text in texts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not measured yet, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("work", type=Path, help="a folder; its sets lie in devset")
    parser.add_argument("--only", choices=CHOOSING + REPORTING, help="measure this set, no tables")
    parser.add_argument("--variants", help="measure these, comma-separated; all if not given")
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    stamp, file = machine.describe(MODULE), options.work / "expansion.json"
    held: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in (options.only,) if options.only else CHOOSING + REPORTING:
        measure(options.work, name, held, file, options.variants)
    if options.only:
        return
    sets = {name: load(options.work, name) for name in CHOOSING + REPORTING}
    tables = [_choosing(held), *(_reported(sets[name], held) for name in REPORTING)]
    tables.append(_significance(held))
    for table in tables:
        table.show(Console(width=170))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        body = "\n\n".join(table.markdown() for table in tables)
        text = f"## Expansion by a knowledge graph\n\n{head}\n\n{body}"
        write_block(options.markdown, "expansion", text, by=MODULE)


# -- measuring ---------------------------------------------------------------------------------


def measure(
    work: Path, name: str, held: dict[str, Any], file: Path, only: str | None = None
) -> None:
    """Every variant of one set; what is done is written down after each."""
    variants = CHOSEN if name in CHOOSING else REPORTED
    if only:
        variants = {one: variants[one] for one in only.split(",")}
    mine = held.setdefault(name, {})
    if set(variants) | set(MODES) <= set(mine):
        return
    devset, encoder = load(work, name), load_encoder("offline")
    graphs: dict[str, StoredGraph] = {}
    data = data_folder()
    inventory = Inventory(data / "abbrev" / one for one in INVENTORIES)
    with (
        TemporaryDirectory(dir=work) as folder,
        make_store(devset, encoder, Path(folder) / "store", work / "vectors") as store,
    ):
        known = Known(encoder, list(dict.fromkeys(devset.queries.values())))
        parts: dict[str, Any] = {"encoder": known, "store": Remembering(store)}
        for variant in (*MODES, *variants):
            if variant in mine:
                continue
            retriever = (
                load_retriever(variant, **parts)
                if variant in MODES
                else _expanded(parts, variants[variant], graphs, work, inventory)
            )
            began = perf_counter()
            run = _run(devset, retriever, work / "runs" / f"{name} {variant}.json")
            seconds = perf_counter() - began
            mine[variant] = _by_match(devset, run)
            file.write_text(json.dumps(held))
            print(f"{name}, {variant}: {seconds:.0f} s", flush=True)


def _expanded(
    parts: Mapping[str, Any],
    change: Mapping[str, Any],
    graphs: dict[str, StoredGraph],
    work: Path,
    inventory: Inventory,
) -> Retriever:
    options = {"graph": "whole", "abbreviations": inventory, **change}
    name = options["graph"]
    if name not in graphs:
        graphs[name] = graph_of(name, work)
    counted = options["abbreviations"]
    options["graph"] = graphs[name]
    options["abbreviations"] = counted() if callable(counted) else counted or ()
    return load_retriever("expanded", **parts, **options)


def graph_of(name: str, work: Path) -> StoredGraph:
    """A graph of all shared sources, or of some; built once."""
    data, folder = data_folder(), work / f"{name}.kg"
    if name == "packaged":
        return packaged_graph()
    if name == "whole":
        return shared_graph(data, folder)
    if not (folder / "manifest.json").exists():
        build_graph(folder, [data / "kg" / source for source in GRAPHS[name]])
    return StoredGraph(folder)


def _run(devset: Devset, retriever: Retriever, file: Path) -> Run:
    """Every query's ranking, kept in a file page by page: what was interrupted goes on."""
    run: Run = json.loads(file.read_text()) if file.exists() else {}
    file.parent.mkdir(exist_ok=True)
    left = [query for query in devset.queries if query not in run]
    for start in range(0, len(left), PAGE):
        page = left[start : start + PAGE]
        texts = [devset.queries[query] for query in page]
        found = retriever.rank(texts, scope=EVERYBODY, filters=NO_FILTERS, k=DEPTH)
        for query, ranking in zip(page, found, strict=True):
            run[query] = [one.chunk_id for one in ranking]
        file.write_text(json.dumps(run))
    return run


def _by_match(devset: Devset, run: Run) -> dict[str, Scores]:
    return {match: _scores(run, devset.qrels, match) for match in ("all", *devset.matches)}


# -- tables ------------------------------------------------------------------------------------


def _mean(scores: Scores, measure_: Any = NDCG) -> float:
    return float(np.mean(list(scores[str(measure_)].values())))


def _choosing(held: Held) -> Table:
    matches = [(name, match) for name in CHOOSING for match in held[name]["hybrid"]]
    columns = ("variant", *(f"{name}, {match}" for name, match in matches), "mean of all")
    table = Table("Expansion: choosing the weights", columns)
    for variant in (v for v in (*MODES, *CHOSEN) if all(v in held[name] for name in CHOOSING)):
        row = [_mean(held[name][variant][match]) for name, match in matches]
        table.add(variant, *row, float(np.mean([_mean(held[n][variant]["all"]) for n in CHOOSING])))
    table.note = (
        "nDCG@10. `expanded`: the package's weights (synonym 0.9, abbreviation 0.9, hyponym 0.6, "
        "related 0, 2 steps down, dense share 0.3); `packaged`: with what comes with the package; "
        "the others change one thing. People judged vaers2003, rules made of these very sources "
        "mtsamples_select."
    )
    return table


def _reported(devset: Devset, held: Held) -> Table:
    mine = held[devset.name]
    variants = (*MODES, *REPORTED)
    table = Table(f"Expansion: {devset.name}", ("measure", "match", *variants), left=2)
    for measure_ in (NDCG, RECALL):
        for match in ("all", *devset.matches):
            name = str(measure_).replace("R@", "Recall@")
            table.add(name, match, *(_mean(mine[v][match], measure_) for v in variants))
    table.note = (
        f"{len(devset.passages):,} chunks, {len(devset.queries)} queries; encoder `offline`. For "
        "one match type the relevant chunks of the others are taken out first. `expanded`: all "
        "shared terminologies and counted abbreviations; `packaged`: those that may be passed on."
    )
    return table


def _significance(held: Held) -> Table:
    table = Table(
        "Expansion: is the difference chance?", ("set", "pair", "difference", "p"), left=2
    )
    for name in REPORTING:
        for variant in REPORTED:
            one, other = (held[name][v]["all"][str(NDCG)] for v in (variant, "hybrid"))
            gain = float(np.mean([one[query] - other[query] for query in one]))
            table.add(name, f"{variant} − hybrid", f"{gain:+.4f}", f"{_p_value(one, other):.4f}")
    table.note = "nDCG@10, all match types; paired randomisation test over queries, two-sided."
    return table


if __name__ == "__main__":
    main()
