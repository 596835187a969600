"""The development sets under `shared/data/devset`, put into a store as the chunks they are."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from drehr_rag.protocols import Encoder
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores import Layout, ScopedStore, open_store
from drehr_rag.types import Chunk, Vectors

PAGE = 1024


@dataclass(frozen=True)
class Devset:
    """A set in BEIR layout.

    Attributes:
        passages: Chunk id → text.
        queries: Query id → text; only those with a judgment.
        qrels: Query id → chunk id → match type.
    """

    name: str
    passages: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, str]]

    @property
    def matches(self) -> list[str]:
        """The match types, most frequent first."""
        counts = Counter(match for judged in self.qrels.values() for match in judged.values())
        return [match for match, _ in counts.most_common()]


def load(data: Path, name: str, every: int = 1) -> Devset:
    """Read a set; with `every`, only each so-many-th chunk and the judgments that are left."""
    folder = data / "devset" / name
    passages = {row["_id"]: row["text"] for row in _rows(folder / "corpus.jsonl.gz")}
    passages = {key: passages[key] for key in list(passages)[::every]}
    qrels: dict[str, dict[str, str]] = {}
    with gzip.open(folder / "qrels.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["corpus-id"] in passages:
                qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = row["match"]
    queries = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl.gz")}
    queries = {key: text for key, text in queries.items() if key in qrels}
    return Devset(name, passages, queries, qrels)


def query_texts(data: Path, count: int) -> list[str]:
    """Different queries of devset/mtsamples, spread over all."""
    texts = [row["text"] for row in _rows(data / "devset" / "mtsamples" / "queries.jsonl.gz")]
    texts = list(dict.fromkeys(texts))
    return texts[:: max(1, len(texts) // count)][:count]


def make_store(devset: Devset, encoder: Encoder, folder: Path, cache: Path) -> ScopedStore:
    """A store in a folder with every passage as a chunk."""
    store = fill(str(folder), devset, vectors(devset, encoder, cache))
    store.optimise()
    return store


def fill(
    place: str, devset: Devset, dense: Vectors, *, layout: Layout | None = None
) -> ScopedStore:
    """A new store with every passage as a chunk; no graph is built."""
    texts = list(devset.passages.values())
    store = open_store(place, manifest={"dimension": dense.shape[1]}, layout=layout)
    chunks = [_chunk(key, text) for key, text in devset.passages.items()]
    sizes = Counter(chunk.note_id for chunk in chunks)
    for start in range(0, len(texts), PAGE):
        some = slice(start, start + PAGE)
        digests = {chunk.note_id: ("devset", sizes[chunk.note_id]) for chunk in chunks[some]}
        store.upsert(chunks[some], dense[some], sparse_passages(texts[some]), digests)
    return store


def _chunk(chunk_id: str, text: str) -> Chunk:
    note = chunk_id.rpartition("_")[0]
    return Chunk(chunk_id, note, note, 0, len(text), text=text, source=text)


def vectors(devset: Devset, encoder: Encoder, cache: Path) -> Vectors:
    """Of every passage, encoded once; the file's name says what of and by what."""
    texts = list(devset.passages.values())
    made_of = sha256("\0".join([str(encoder.fingerprint), *texts]).encode()).hexdigest()[:16]
    file = cache / f"{devset.name}-{made_of}.npy"
    if file.exists():
        held: Vectors = np.load(file)
        return held
    pages = [texts[start : start + PAGE] for start in range(0, len(texts), PAGE)]
    made = np.concatenate([encoder.encode_passages(page) for page in pages])
    cache.mkdir(parents=True, exist_ok=True)
    np.save(file, made)
    return made


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)
