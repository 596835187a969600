"""The main job on real notes: cost of indexing, time of a search, quality of the ranking.

    python -m benchmarks.main_job [--quick] [--json FILE] [--markdown docs/measurements.md]

The data is in `$DREHR_SHARED_DATA` or `../shared/data`. Part by part with `--only`.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from benchmarks import indexing, latency, machine, overhead, ranking
from benchmarks.corpora import corpora, data_folder
from benchmarks.devsets import query_texts
from benchmarks.tables import Table, write_block
from drehr_rag.encoders import load_encoder

PARTS = ("indexing", "overhead", "latency", "ranking")
QUERIES = 200
QUICK = 100
"""A quick run takes one note, or chunk, in so many: about 1 %."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    options = _options(arguments)
    data = data_folder()
    out = Console(width=150)
    stamp = machine.describe()
    for line in _stamp(stamp, options.quick):
        out.print(line, markup=False)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        parts = _run(options, data, scratch, out)
    if options.json:
        content = {"quick": options.quick, **stamp, "parts": {n: f for n, (_, f) in parts.items()}}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        head = "\n".join(f"- {line}" for line in _stamp(stamp, options.quick))
        for name, (tables, _) in parts.items():
            text = "\n\n".join([f"## {name.capitalize()}", head, *(t.markdown() for t in tables)])
            write_block(options.markdown, name, text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.main_job", description=__doc__, formatter_class=shape
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="about 1 %% of everything; only shows that it works")
    add("--only", choices=PARTS, action="append", help="this part (may be given several times)")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--markdown", type=Path, metavar="PAGE", help="write the tables there, a block for a part")
    add("--cache", type=Path, metavar="FOLDER", help="keep the development sets' vectors there")
    add("--store", type=Path, metavar="FOLDER", help="keep the store of part A there, or use it")
    options = parser.parse_args(arguments)
    options.only = options.only or list(PARTS)
    made = options.store is not None and (options.store / "manifest.json").exists()
    if "indexing" in options.only and made:
        parser.error(f"{options.store} exists: indexing is measured into a new store")
    if "latency" in options.only and "indexing" not in options.only and not made:
        parser.error("latency is measured on the store of indexing: add --only indexing or --store")
    return options


def _run(
    options: argparse.Namespace, data: Path, scratch: Path, out: Console
) -> dict[str, tuple[list[Table], dict[str, Any]]]:
    every = QUICK if options.quick else 1
    store = options.store or scratch / "all.idx"
    cache = options.cache or scratch / "cache"
    results: dict[str, tuple[list[Table], dict[str, Any]]] = {}
    encoder: Any = None
    for part in PARTS:
        if part not in options.only:
            continue
        started = perf_counter()
        if part == "indexing":
            results[part] = indexing.measure(store, every, scratch)
        else:
            encoder = encoder or load_encoder("offline")
        if part == "overhead":
            results[part] = overhead.measure(corpora(data, scratch), encoder, scratch, every)
        elif part == "latency":
            count = 40 if options.quick else QUERIES
            results[part] = latency.measure(store, encoder, query_texts(data, count))
        elif part == "ranking":
            results[part] = ranking.measure(data, encoder, scratch, cache, every)
        for table in results[part][0]:
            if options.quick:
                table.title += " (quick)"
            out.print()
            table.show(out)
        print(f"{part}: {perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return results


def _stamp(stamp: dict[str, str], quick: bool) -> list[str]:
    lines = [f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"]]
    if quick:
        lines.insert(0, "QUICK RUN on about 1 % of the data: the figures mean nothing.")
    return lines


if __name__ == "__main__":
    main()
