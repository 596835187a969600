"""The development set of transcribed reports, split by clusters of like notes."""

from hashlib import sha256
from pathlib import Path

from benchmarks.training_sets.files import read_records, read_set
from benchmarks.training_sets.retrieval_set import RetrievalSet, restrict

SELECT, REPORT = frozenset({6, 7}), frozenset({8, 9})
"""Hash digits of clusters; those below 6 train (shared/data/README.md)."""


def digit(cluster: object) -> int:
    """The hash digit of a cluster."""
    return int(sha256(str(cluster).encode()).hexdigest(), 16) % 10


def mtsamples(data: Path, digits: frozenset[int]) -> RetrievalSet:
    """devset/mtsamples within the note clusters with these hash digits."""
    rows = read_records(data / "notes" / "mtsamples_shared.jsonl.gz")
    chosen = {row["note_id"] for row in rows if digit(row["cluster"]) in digits}
    whole = read_set(data / "devset" / "mtsamples")
    return restrict(whole, lambda chunk: chunk.rpartition("_")[0] in chosen, least=2)
