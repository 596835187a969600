"""What a smaller copy of the vectors finds: recall@10 of every layout of a folder, on real vectors.

    python -m benchmarks.quantisation [--markdown docs/measurements.md] [--cache FOLDER]

The chunks and queries of devset/mtsamples by the packaged MiniLM (384-d), all patients. The graph
is built although the store is below the size from which one is built by itself.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks import devsets, machine
from benchmarks.corpora import data_folder
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder
from drehr_rag.stores import Access, Layout, open_store
from drehr_rag.types import AllPatients, Vectors

MODULE = "benchmarks.quantisation"
K = 10
QUERIES = 500
TIE = 1e-6
"""A hit whose cosine is so near the tenth best's counts as found."""

LAYOUTS: tuple[tuple[str, Layout, tuple[float, ...]], ...] = (
    ("float32", Layout(precision="float32"), (3,)),
    ("float16", Layout(precision="float16"), (3,)),
    ("float32, int8 copy", Layout(precision="float32", quantisation="int8"), (1, 3)),
    ("float32, binary copy", Layout(precision="float32", quantisation="binary"), (1, 3, 10)),
    ("float16, int8 copy", Layout(precision="float16", quantisation="int8"), (3,)),
    ("float16, binary copy", Layout(precision="float16", quantisation="binary"), (3, 10)),
)
"""Layouts, and how many times k each lets the vectors score again (3 unless asked)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantisation", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take one chunk in so many")
    parser.add_argument("--markdown", type=Path, help="write the table into this page")
    parser.add_argument("--cache", type=Path, help="keep the vectors there")
    options = parser.parse_args(arguments)
    stamp, data, encoder = machine.describe(MODULE), data_folder(), load_encoder("offline")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        devset = devsets.load(data, "mtsamples", options.every)
        dense = devsets.vectors(devset, encoder, options.cache or scratch / "cache")
        queries = encoder.encode_queries(devsets.query_texts(data, QUERIES))
        table = measure(devset, dense, queries, scratch)
    table.show(Console(width=150))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        text = f"## Quantisation\n\n{head}\n\n{table.markdown()}"
        write_block(options.markdown, "quantisation", text, by=MODULE)


def measure(devset: devsets.Devset, dense: Vectors, queries: Vectors, scratch: Path) -> Table:
    """One row a layout and oversampling."""
    table = Table(
        "Recall@10 against exact search",
        ["vectors", "graph", "scored again", "exact", "not exact", "worst tenth"],
        note=f"{len(dense):,} chunks, {len(queries)} queries, all patients; ties within {TIE:g} "
        "counted as found; graph: whether the engine built one of so few vectors. Scored again: "
        "so many times k by the vectors themselves. Exact, not exact: the switch of `Access`. "
        "Worst tenth: mean over the queries that lose most by it.",
    )
    cosines = dict(zip(devset.passages, (dense @ queries.T).astype(np.float64), strict=True))
    for name, layout, oversamplings in LAYOUTS:
        place = str(scratch / name)
        with devsets.fill(place, devset, dense, layout=layout) as store:
            store._optimise_apart()  # `optimise` leaves so small a store alone
            indexed = store._open().info().indexed_vectors_count
            built = "yes" if indexed > len(dense) else "no"  # the sparse ones are counted too
        exact = found(place, Access(exact=True), queries, cosines)
        for times in oversamplings:
            graph = np.sort(found(place, Access(exact=False, oversampling=times), queries, cosines))
            again = f"{times:g} k" if layout.quantisation else None
            worst = graph[: max(1, len(graph) // 10)]
            shares = (float(part.mean()) for part in (exact, graph, worst))
            table.add(name, built, again, *shares)
    return table


def found(
    place: str, access: Access, queries: Vectors, cosines: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Each query's share of hits that are as near as its tenth best."""
    with open_store(place, access=access) as store:
        rows = store.search_dense(queries, scope=AllPatients(reason="benchmark"), k=K)
    best = np.sort(np.stack(list(cosines.values())), axis=0)[-K]
    near = [
        [cosines[hit.chunk.chunk_id][i] >= best[i] - TIE for hit in hits]
        for i, hits in enumerate(rows)
    ]
    return np.array([sum(hits) / K for hits in near])


if __name__ == "__main__":
    main()
