"""Part A: what indexing all the notes costs in time, memory and disk.

Runs as a process of its own (`python -m benchmarks.indexing STORE OUT EVERY`), so that its peak
memory is nobody else's.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import psutil

from benchmarks.corpora import ROOT, corpora, data_folder
from benchmarks.tables import Table
from drehr_rag import EhrIndex
from drehr_rag.encoders import load_encoder
from drehr_rag.types import Note

MB = 1e6


def measure(store: Path, every: int, scratch: Path) -> tuple[list[Table], dict[str, Any]]:
    """Index in a process of its own and make tables of what it reports."""
    out = scratch / "indexing.json"
    command = [sys.executable, "-m", "benchmarks.indexing", str(store), str(out), str(every)]
    subprocess.run(command, cwd=ROOT, check=True)
    facts = json.loads(out.read_text())
    return [_speed_table(facts), _space_table(facts)], facts


def _speed_table(facts: dict[str, Any]) -> Table:
    columns = ("notes of", "notes", "rejected", "chunks", "truncated", "seconds", "chunks/s",
               "not encoding")  # fmt: skip
    table = Table("A. Indexing", columns)
    reports: dict[str, dict[str, Any]] = dict(facts["reports"])
    keys = ("indexed", "rejected", "chunks", "truncated", "seconds", "encoding_seconds")
    reports["all"] = {key: sum(report[key] for report in reports.values()) for key in keys}
    for name, r in reports.items():
        rest = 1 - r["encoding_seconds"] / r["seconds"]
        speed = f"{r['chunks'] / r['seconds']:.1f}"
        counts = (r[key] for key in ("indexed", "rejected", "chunks", "truncated"))
        table.add(name, *counts, f"{r['seconds']:.1f}", speed, f"{rest:.1%}")
    table.note = (
        "Files to a finished store: `EhrIndex.add`, store in a folder, encoder `offline`, default "
        'chunker. "Not encoding" is the share of the time outside `encode_passages`.'
    )
    return table


def _space_table(facts: dict[str, Any]) -> Table:
    chunks = sum(report["chunks"] for report in facts["reports"].values())
    table = Table("A. Memory and disk", ("what", "MB"))
    table.add("memory when the encoder is loaded", f"{facts['loaded_rss'] / MB:,.0f}")
    table.add("peak memory while indexing", f"{facts['peak_rss'] / MB:,.0f}")
    if facts["child_peak_rss"]:
        table.add("peak memory of the process that built the graph",
                  f"{facts['child_peak_rss'] / MB:,.0f}")  # fmt: skip
    table.add("store on disk", f"{facts['disk'] / MB:,.1f}")
    table.add("… of this, write-ahead log", f"{facts['log'] / MB:,.1f}")
    table.note = (
        f"{facts['disk'] / chunks / 1000:.1f} kB on disk a chunk; {chunks:,} chunks of "
        f"{facts['dimension']} dimensions; opening an empty store and the encoder took "
        f"{facts['open_seconds']:.1f} s, closing {facts['close_seconds']:.1f} s."
    )
    return table


def disk_use(folder: Path, inside: str = "") -> int:
    """Bytes that the files take on disk (blocks, not lengths)."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(f.stat().st_blocks * 512 for f in files if inside in f.relative_to(folder).parts[:-1]
               or not inside)  # fmt: skip


def main() -> None:
    """Index everything and write what it cost as JSON."""
    store, out, every = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    data = data_folder()
    reports: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        sources = corpora(data, Path(scratch))
        started = perf_counter()
        encoder = load_encoder("offline")
        encoder.encode_passages(["warm up"])
        loaded = psutil.Process().memory_info().rss
        index = EhrIndex.open(store, encoder=encoder)
        opened = perf_counter() - started
        for source in sources:
            notes = cast("Iterable[Note]", source.notes(every))  # rows to reject are welcome too
            reports[source.name] = asdict(index.add(notes))
            print(f"indexed {source.name}", file=sys.stderr, flush=True)
        started = perf_counter()
        index.close()
        closed = perf_counter() - started
    facts = {
        "reports": reports,
        "loaded_rss": loaded,
        "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "child_peak_rss": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "disk": disk_use(store),
        "log": disk_use(store, "wal"),
        "dimension": encoder.fingerprint.dimension,
        "open_seconds": opened,
        "close_seconds": closed,
    }
    out.write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
