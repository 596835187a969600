"""Files of the layout of devset/: the same set makes the same bytes, each file whole or not."""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.training_sets.retrieval_set import Pair, RetrievalSet

GZIP = 31
"""zlib's `wbits` for a gzip file. `gzip.compress` writes another header in newer Pythons."""


def read_text(path: Path) -> str:
    """A text file, gzipped or plain."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON Lines."""
    return (json.loads(line) for line in read_text(path).split("\n") if line.strip())


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a tab-separated file."""
    return csv.DictReader(read_text(path).splitlines(), delimiter="\t")


def read_set(folder: Path) -> RetrievalSet:
    """A set in the layout of devset/."""
    negated = folder / "qrels_negated.tsv.gz"
    return RetrievalSet(
        {row["_id"]: row["text"] for row in read_records(folder / "corpus.jsonl.gz")},
        list(read_records(folder / "queries.jsonl.gz")),
        {_pair(row): row["match"] for row in read_table(folder / "qrels.tsv.gz")},
        {_pair(row) for row in read_table(negated)} if negated.exists() else set(),
    )


def write_set(folder: Path, data: RetrievalSet) -> dict[str, Any]:
    """Write a set in the layout of devset/ and return its stats."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = ({"_id": name, "text": text} for name, text in data.corpus.items())
    judged = ("\t".join((*pair, data.qrels[pair])) for pair in _ordered(data))
    _pack(folder / "corpus.jsonl.gz", map(_line, corpus))
    _pack(folder / "queries.jsonl.gz", map(_line, data.queries))
    _pack(folder / "qrels.tsv.gz", ["query-id\tcorpus-id\tmatch", *judged])
    if data.negated:
        denied = map("\t".join, sorted(data.negated))
        _pack(folder / "qrels_negated.tsv.gz", ["query-id\tcorpus-id", *denied])
    stats = _stats(data)
    put(folder / "stats.json", json.dumps(stats, indent=1).encode())
    return stats


def put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _pair(row: dict[str, str]) -> Pair:
    return row["query-id"], row["corpus-id"]


def _ordered(data: RetrievalSet) -> list[Pair]:
    """The judged pairs in the order of the queries, then of the corpus."""
    queries = {query["_id"]: place for place, query in enumerate(data.queries)}
    chunks = {name: place for place, name in enumerate(data.corpus)}
    return sorted(data.qrels, key=lambda pair: (queries[pair[0]], chunks[pair[1]]))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


def _pack(path: Path, lines: Iterable[str]) -> None:
    text = "".join(line + "\n" for line in lines)
    put(path, zlib.compress(text.encode(), level=9, wbits=GZIP))


def _stats(data: RetrievalSet) -> dict[str, Any]:
    return {
        "chunks": len(data.corpus),
        "notes": len({name.rpartition("_")[0] for name in data.corpus}),
        "queries": len(data.queries),
        "by_type": Counter(query["type"] for query in data.queries),
        "qrels": len(data.qrels),
        "by_match": dict(sorted(Counter(data.qrels.values()).items())),
        "negated_only": len(data.negated),
        **data.facts,
    }
