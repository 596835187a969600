"""The work of one worker: a block of notes to chunks to vectors, and those into a store."""

from collections.abc import Sequence
from itertools import chain
from time import perf_counter

from drehr_rag.protocols import Accepted, Chunker, Encoded, Encoder, Rows
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores import ScopedStore


def encode_block(block: Sequence[Accepted], chunker: Chunker, encoder: Encoder) -> Encoded:
    """Split and encode the notes of a block; those without words end in `empty`."""
    split = chunker.split([accepted.note for accepted in block])
    whole = [(one, chunks) for one, chunks in zip(block, split, strict=True) if chunks]
    chunks = list(chain.from_iterable(some for _, some in whole))
    encoded = Encoded(
        replaces={one.note.note_id: one.replaces for one, _ in whole},
        empty=[one.note for one, some in zip(block, split, strict=True) if not some],
        chunks=len(chunks),
    )
    if not chunks:
        return encoded
    texts = [chunk.text for chunk in chunks]
    started, cut_before = perf_counter(), encoder.truncated
    dense = encoder.encode_passages(texts)
    encoded.seconds = perf_counter() - started
    encoded.truncated = encoder.truncated - cut_before
    digests = {one.note.note_id: (one.digest, len(some)) for one, some in whole}
    encoded.rows = Rows(chunks, dense, sparse_passages(texts), digests)
    return encoded


def write(encoded: Encoded, store: ScopedStore) -> None:
    """Put what was encoded into the store, then drop what it replaces; safe to repeat."""
    rows = encoded.rows
    if rows is None:
        return
    store.upsert(rows.chunks, rows.dense, rows.sparse, rows.digests)
    old = [note_id for note_id, replaces in encoded.replaces.items() if replaces]
    store.drop_stale({note_id: rows.digests[note_id][0] for note_id in old})
