"""The columns of a spool, joined, as the files of a graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from drehr_rag.kg._csr import Csr, Ints, csr, csr_first, csr_labelled, flip
from drehr_rag.kg._cycles import in_cycles
from drehr_rag.kg._files import put_csr, put_texts
from drehr_rag.kg._join import Joined, join
from drehr_rag.kg._keys import hash_of
from drehr_rag.kg._spool import Spool
from drehr_rag.kg._texts import Texts, index_by_hash

GATHERED = 1 << 16
"""Rows of names that are copied at a time: some 40 MB of places for their bytes."""


def write(spool: Spool, names: BinaryIO, folder: Path) -> dict[str, int]:
    """Write a graph's arrays.

    Each column is let go when it has been written: at 46 million terms they take 6 GB, and sorting
    the next one needs the room.

    Args:
        spool: Everything that the sources said; empty afterwards.
        names: The file that the spool wrote the terms to.
        folder: Where to.

    Returns:
        Counts for the manifest.
    """
    joined = join(spool)
    counts = _ids(spool, joined, folder)
    spool.release("ids", "known", "one", "other")
    counts |= _terms(spool, joined, names, folder)
    spool.release("term_hash", "term_length", "term_concept", "term_last")
    counts |= _is_a(spool, joined, folder)
    spool.release("child", "parent")
    related = _related(spool, joined)
    spool.release("subject", "relation", "object")
    put_csr(folder, "related", related)
    types = csr(joined.number[np.asarray(spool.typed)], np.asarray(spool.type), joined.keepers.size)
    put_csr(folder, "types", types)
    return counts | {"related": int(related.values.size)}


def _ids(spool: Spool, joined: Joined, folder: Path) -> dict[str, int]:
    """Names of concepts first, then those that were joined to them."""
    every = list(spool.ids)
    order = np.concatenate([joined.keepers, joined.others])
    ids = [every[place] for place in order]
    put_texts(folder, "ids", _texts(ids))
    owner = joined.number[order].astype(np.uint32)
    np.save(folder / "ids.owner.npy", owner)
    rest = np.arange(joined.keepers.size, order.size, dtype=np.uint32)
    put_csr(folder, "aliases", csr(owner[rest], rest, joined.keepers.size))
    return {"concepts": int(joined.keepers.size), "joined_ids": int(joined.others.size)}


def _texts(texts: Sequence[str]) -> Texts:
    raw = [text.encode() for text in texts]
    starts = np.zeros(len(raw) + 1, np.uint64)
    np.cumsum(np.fromiter(map(len, raw), np.uint64, len(raw)), out=starts[1:])
    hashes = np.fromiter((hash_of(text) for text in texts), np.uint64, len(raw))
    return Texts(np.frombuffer(b"".join(raw), np.uint8), starts, *index_by_hash(hashes))


def _terms(spool: Spool, joined: Joined, names: BinaryIO, folder: Path) -> dict[str, int]:
    firsts, term_of_row = _unique(np.asarray(spool.term_hash))
    lengths = np.asarray(spool.term_length)
    starts = np.zeros(firsts.size + 1, np.uint64)
    np.cumsum(lengths[firsts], out=starts[1:])
    blob = _gather(names, lengths, firsts, int(starts[-1]), folder / "terms.blob.npy")
    hashes = np.asarray(spool.term_hash)[firsts]
    put_texts(folder, "terms", Texts(blob, starts, *index_by_hash(hashes)))
    rows = joined.number[np.asarray(spool.term_concept)]
    last = np.asarray(spool.term_last)
    of_concept = csr_first(rows, term_of_row, last, joined.keepers.size)
    put_csr(folder, "concept_terms", of_concept)
    put_csr(folder, "term_concepts", csr(term_of_row, rows, firsts.size))
    bare = int(np.count_nonzero(np.diff(of_concept.starts.astype(np.int64)) == 0))
    return {"terms": int(firsts.size), "concepts_without_terms": bare}


def _unique(hashes: Ints) -> tuple[Ints, Ints]:
    """The row where each term first stands, ascending, and the term of each row."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(order.size, np.uint32)
    rank[order] = np.arange(order.size, dtype=np.uint32)
    return first[order], rank[inverse]


def _gather(names: BinaryIO, lengths: Ints, rows: Ints, size: int, target: Path) -> Ints:
    """Copy the bytes of some rows, in blocks, into a mapped file."""
    if not size:
        return np.zeros(0, np.uint8)
    source = np.memmap(names, np.uint8, "r")
    begins = np.cumsum(lengths, dtype=np.int64) - lengths
    blob = np.lib.format.open_memmap(target, "w+", np.uint8, (size,))
    done = 0
    for first in range(0, rows.size, GATHERED):
        block = rows[first : first + GATHERED]
        spans = lengths[block].astype(np.int64)
        ends = np.cumsum(spans)
        take = np.arange(ends[-1]) + np.repeat(begins[block] - (ends - spans), spans)
        blob[done : done + take.size] = source[take]
        done += take.size
    blob.flush()
    return blob


def _is_a(spool: Spool, joined: Joined, folder: Path) -> dict[str, int]:
    parents, loops = _parents(spool, joined)
    put_csr(folder, "parents", parents)
    put_csr(folder, "children", flip(parents))
    return {
        "is_a": int(parents.values.size),
        "self_loops": loops,
        "concepts_in_cycles": in_cycles(parents),
    }


def _parents(spool: Spool, joined: Joined) -> tuple[Csr, int]:
    child, parent = joined.number[np.asarray(spool.child)], joined.number[np.asarray(spool.parent)]
    real = child != parent
    return csr(child[real], parent[real], joined.keepers.size), int(np.count_nonzero(~real))


def _related(spool: Spool, joined: Joined) -> Csr:
    subject, target = (
        joined.number[np.asarray(spool.subject)],
        joined.number[np.asarray(spool.object)],
    )
    real = subject != target
    label = np.asarray(spool.relation)
    return csr_labelled(subject[real], label[real], target[real], joined.keepers.size)
