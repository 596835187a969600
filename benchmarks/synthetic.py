"""Any number of made-up chunks whose vectors, words and patients lie like real ones.

Some real chunks are encoded once. Their vectors give 64 clusters; a cluster has 30 themes; a chunk
is its cluster's centre, plus its theme, plus something of its own, both drawn with the covariance
of the cluster's real vectors; some chunks are near-copies, as notes are carried forward. Its text
is one half of each of two real chunks of the cluster; its words are weighed by our own BM25. Chunk
number i is the same in every run, so nothing need be kept to know the truth.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpora import corpora, data_folder
from benchmarks.devsets import query_texts
from drehr_rag.encoders import load_encoder
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.types import Chunk, Note, SparseVector, Vectors

BLOCK = 1_000
"""Chunks of 25 patients, made together."""

PATIENTS = 25
"""Patients of a block: 40 chunks each on average."""

NOTE = 8
"""Chunks of a note."""

CLUSTERS, THEMES = 64, 30
OWN = (2.0, 1.0)
"""Beta distribution of the share of a chunk's variance that its theme does not give. These three
numbers made the distances to the 1st, 10th and 100th neighbour and the intrinsic dimension agree
with the real ones (`--likeness`)."""

COPIES, COPY_NOISE = 0.08, 0.2
"""Share of chunks that are near-copies of the patient's chunk before, and how far they are from it:
the real vectors' share of neighbours above cosine 0.95."""

INTERESTS = 6
"""Clusters that a patient's chunks come from."""

QUERIES = 300
SEED = 7
TYPES = ("Discharge summary", "Progress note", "Radiology report", "Nursing note", "Consultation")
SECTIONS = ("history of present illness", "past medical history", "medications", "plan", None)


@dataclass(frozen=True)
class Real:
    """Real chunks and queries with their vectors, and the encoder's fingerprint."""

    texts: list[str]
    vectors: Vectors
    queries: list[str]
    query_vectors: Vectors
    fingerprint: dict[str, Any]


@dataclass(frozen=True)
class Block:
    """What `ScopedStore.upsert` takes."""

    chunks: list[Chunk]
    dense: Vectors
    sparse: list[SparseVector]
    digests: dict[str, tuple[str, int]]


class Corpus:
    """Made-up chunks in the likeness of real ones.

    Args:
        real: What they are to be like.
    """

    def __init__(self, real: Real) -> None:
        """Find the clusters."""
        self.real = real
        vectors = real.vectors
        self._labels = _k_means(vectors, CLUSTERS)
        self._members = [np.flatnonzero(self._labels == c) for c in range(CLUSTERS)]
        self._members.sort(key=len, reverse=True)
        self._centres = np.stack([vectors[m].mean(0) for m in self._members])
        self._spread = [
            (vectors[m] - centre) / np.sqrt(max(1, len(m) - 1))
            for m, centre in zip(self._members, self._centres, strict=True)
        ]
        self.zipf = _zipf([len(m) for m in self._members])
        weights = 1 / np.arange(1, CLUSTERS + 1) ** self.zipf
        self._weights = weights / weights.sum()

    @cached_property
    def _themes(self) -> list[Vectors]:
        chance = np.random.default_rng(SEED)
        return [_draw(chance, spread, THEMES) for spread in self._spread]

    def patients(self, block: int) -> NDArray[np.int64]:
        """The patient's number of each chunk of a block, in order."""
        chance = np.random.default_rng([SEED, block, 0])
        shares = chance.dirichlet(np.full(PATIENTS, 1.5))
        sizes = 1 + chance.multinomial(BLOCK - PATIENTS, shares)
        return np.repeat(np.arange(PATIENTS) + block * PATIENTS, sizes)

    def clusters(self, block: int) -> NDArray[np.int64]:
        """The cluster of each chunk of a block."""
        chance = np.random.default_rng([SEED, block, 1])
        interests = chance.choice(CLUSTERS, (PATIENTS, INTERESTS), p=self._weights)
        owner = self.patients(block) - block * PATIENTS
        mine: NDArray[np.int64] = interests[owner, chance.integers(INTERESTS, size=BLOCK)]
        return mine

    def vectors(self, block: int) -> Vectors:
        """The dense vectors of a block, shape (1000, dimension), each of length 1."""
        chance = np.random.default_rng([SEED, block, 2])
        clusters = self.clusters(block)
        rows = self._centres[clusters].copy()
        for cluster in np.unique(clusters):
            here = np.flatnonzero(clusters == cluster)
            own = chance.beta(*OWN, size=(len(here), 1))
            themes = self._themes[cluster][chance.integers(THEMES, size=len(here))]
            noise = _draw(chance, self._spread[cluster], len(here))
            rows[here] += np.sqrt(1 - own) * themes + np.sqrt(own) * noise
        rows = _unit(rows)
        noise = COPY_NOISE * _unit(chance.normal(size=rows.shape))
        for i in np.flatnonzero(chance.random(BLOCK) < COPIES):
            rows[i] = rows[max(0, i - 1)] + noise[i]
        return _unit(rows)

    def block(self, number: int) -> Block:
        """A block as a store takes it."""
        chance = np.random.default_rng([SEED, number, 3])
        clusters, patients = self.clusters(number), self.patients(number)
        texts = [self._text(chance, cluster) for cluster in clusters]
        chunks = list(_chunks(number, patients, texts))
        digests: dict[str, tuple[str, int]] = {}
        for chunk in chunks:
            _, size = digests.get(chunk.note_id, ("", 0))
            digests[chunk.note_id] = (sha256(chunk.note_id.encode()).hexdigest(), size + 1)
        return Block(chunks, self.vectors(number), sparse_passages(texts), digests)

    def _text(self, chance: np.random.Generator, cluster: int) -> str:
        first, second = (
            self.real.texts[i].split() for i in chance.choice(self._members[cluster], 2)
        )
        return " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])


def real_chunks(folder: Path, every: int = 3) -> Real:
    """Encode each `every`-th open note with the offline encoder, once; kept in the folder."""
    words, numbers = folder / "real.json", folder / "real.npz"
    if not (words.exists() and numbers.exists()):
        data, encoder = data_folder(), load_encoder("offline")
        chunker = load_chunker(
            "sections", count_tokens=encoder.count_tokens, max_tokens=encoder.max_tokens
        )
        with tempfile.TemporaryDirectory() as scratch:
            notes = [
                note
                for corpus in corpora(data, Path(scratch))
                for note in corpus.notes(every)
                if isinstance(note, Note)
            ]
        texts = [chunk.text for chunks in chunker.split(notes) for chunk in chunks]
        queries = query_texts(data, QUERIES)
        pages = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
        vectors = np.concatenate([encoder.encode_passages(page) for page in pages])
        np.savez(numbers, vectors=vectors, queries=encoder.encode_queries(queries))
        held = {"texts": texts, "queries": queries, "fingerprint": asdict(encoder.fingerprint)}
        words.write_text(json.dumps(held), encoding="utf-8")
    held = json.loads(words.read_text(encoding="utf-8"))
    with np.load(numbers) as file:
        dense, asked = file["vectors"], file["queries"]
    return Real(held["texts"], dense, held["queries"], asked, held["fingerprint"])


def likeness(vectors: Vectors, queries: Vectors) -> dict[str, str]:
    """How a set of vectors lies: distances, dimension, spectrum; compare sets of one size.

    Neighbours are told as cosines at the 5th, 25th, 50th, 75th and 95th percentile. Intrinsic
    dimension: Levina and Bickel 2004, maximum likelihood over 20 neighbours, median.
    """
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    top = -np.sort(-np.partition(cosines, -101, axis=1)[:, -101:], axis=1)
    distance = np.sqrt(np.maximum(2 - 2 * top[:, :20], 1e-12))
    distance = distance[distance[:, 0] > 1e-3]
    with np.errstate(divide="ignore"):  # twenty equal texts have no dimension; the median holds
        dimension = 1 / np.mean(np.log(distance[:, -1:] / distance[:, :-1]), axis=1)
    spectrum = np.linalg.eigvalsh(np.cov(vectors.T))[::-1]
    share = np.cumsum(spectrum) / spectrum.sum()
    asked = -np.sort(-(queries @ vectors.T), axis=1)
    pairs = cosines[np.triu_indices(len(vectors), 1)][::97]
    return {
        "cosine to the nearest": _percentiles(top[:, 0]),
        "… to the 10th": _percentiles(top[:, 9]),
        "… to the 100th": _percentiles(top[:, 99]),
        "… of any two": _percentiles(pairs),
        "query to its nearest": _percentiles(asked[:, 0]),
        "query to its 100th": _percentiles(asked[:, 99]),
        "neighbours above .95": f"{np.mean(top[:, 0] > 0.95):.1%}",
        "intrinsic dimension": f"{np.median(dimension):.1f}",
        "variance in 10, 50, 100 directions": " ".join(
            f"{share[n - 1]:.2f}" for n in (10, 50, 100)
        ),
    }


def _chunks(block: int, patients: Sequence[int], texts: Sequence[str]) -> Iterator[Chunk]:
    first = 0
    for i, (patient, text) in enumerate(zip(map(int, patients), texts, strict=True)):
        if i and patient != patients[i - 1]:
            first = i
        ordinal = i - first
        note = f"{patient:08d}-{ordinal // NOTE}"
        place = (ordinal % NOTE) * 400
        digest = sha256(f"{block} {i}".encode()).hexdigest()[:8]
        yield Chunk(
            chunk_id=f"{note}_{ordinal % NOTE}_{digest}",
            note_id=note,
            patient_id=f"{10_000_000 + patient}",
            start=place,
            end=place + len(text),
            text=text,
            source=text,
            encounter_id=f"{20_000_000 + patient}{ordinal // (2 * NOTE)}",
            note_type=TYPES[(patient + ordinal // NOTE) % len(TYPES)],
            section=SECTIONS[ordinal % len(SECTIONS)],
            written_at=datetime(2150, 1, 1) + timedelta(hours=97 * patient % 300_000, days=ordinal),
        )


def _draw(chance: np.random.Generator, spread: Vectors, count: int) -> Vectors:
    """Vectors with the covariance of the rows of `spread`."""
    return chance.standard_normal((count, len(spread)), dtype=np.float32) @ spread


def _unit(rows: NDArray[Any]) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _k_means(vectors: Vectors, count: int, rounds: int = 15) -> NDArray[np.int64]:
    """Spherical k-means (Lloyd); an empty cluster is given a vector of its own."""
    chance = np.random.default_rng(SEED)
    centres = vectors[chance.choice(len(vectors), count, replace=False)]
    for _ in range(rounds):
        labels = np.argmax(vectors @ centres.T, axis=1)
        for empty in set(range(count)) - set(labels.tolist()):
            labels[chance.integers(len(labels))] = empty
        centres = _unit(np.stack([vectors[labels == c].mean(0) for c in range(count)]))
    return labels


def _zipf(sizes: Sequence[int]) -> float:
    """The exponent of the sizes by rank, least squares in logarithms."""
    ranks = np.log(np.arange(1, len(sizes) + 1))
    return float(-np.polyfit(ranks, np.log(np.maximum(sizes, 1)), 1)[0])


def _percentiles(values: NDArray[Any]) -> str:
    return " ".join(f"{value:.2f}" for value in np.percentile(values, (5, 25, 50, 75, 95)))
