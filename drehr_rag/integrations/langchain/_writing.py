"""Documents into a store and out of it, never outside the scope: checked first, then written."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

import numpy as np
from langchain_core.documents import Document

from drehr_rag._arguments import check_list
from drehr_rag.errors import BadArgument, ScopeError
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._kept import HALF, storable
from drehr_rag.integrations.langchain._documents import listed, to_chunk
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores import ScopedStore
from drehr_rag.stores._where import admits, narrow
from drehr_rag.types import AllPatients, Chunk, Filters, Scope

DIGEST = "document"
"""In the place of a note's digest: documents come without their note, so it is never complete."""

BATCH = 1024
"""Documents encoded and written at a time; between two of these a cancelled call stops."""

_TAKEN = AllPatients(reason="whether an id is taken by somebody else")


def adding(
    index: EhrIndex,
    documents: Iterable[Document],
    ids: Iterable[str | None] | None,
    scope: Scope,
    *,
    batch_size: int | None = None,
    vectors: Mapping[str, Any] | None = None,
) -> Generator[None, None, list[str]]:
    """Write documents step by step: check all of them, then encode and write some at a time.

    With `vectors`, one under each id, nothing is encoded.

    Returns:
        The documents' ids, in their order.

    Raises:
        BadArgument: One of them, or its id, cannot be used; nothing was written.
        ScopeError: One is outside the scope, or its id or note is somebody else's; nothing was
            written.
    """
    given = listed(documents)
    chosen = _chosen_ids(given, ids)
    chunks = _distinct(_chunks(given, chosen))
    index.store.check_place(chunks, scope=scope)
    remaining = iter(chunks)
    while some := list(islice(remaining, batch_size or BATCH)):
        texts = [chunk.text for chunk in some]
        index.store.upsert(
            some,
            np.stack([vectors[chunk.chunk_id] for chunk in some])
            if vectors
            else index.encoder.encode_passages(texts),
            sparse_passages(texts),
            {chunk.note_id: (DIGEST, 1) for chunk in some},
            scope=scope,
        )
        yield
    return chosen


def delete(store: ScopedStore, ids: Sequence[str], scope: Scope) -> None:
    """Delete the documents of these ids; those that are not there are no error.

    Raises:
        ScopeError: One is outside the scope; nothing was deleted.
    """
    if not all(_lies_in(chunk, scope) for chunk in store.get(ids, scope=_TAKEN)):
        raise ScopeError("some of these ids are outside the scope: nothing was deleted")
    if store.delete(scope=scope, filters=Filters(chunk_ids=tuple(ids))):
        store.purge()


def checked_ids(ids: Any) -> list[str]:
    """A list of ids.

    Raises:
        BadArgument: It is something else, or one of them is.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise BadArgument(f"ids is a list of text, not {type(ids).__name__}")
    return [_checked_id(one, f"ids[{number}]") for number, one in enumerate(ids)]


def _checked_id(one: object, what: str = "an id") -> str:
    if not isinstance(one, str) or not one.strip():
        found = "empty" if isinstance(one, str) else type(one).__name__
        raise BadArgument(f"{what} is {found}: an id is text and not empty")
    if not storable(one):
        raise BadArgument(f"{what} {HALF}")
    return one


def _chosen_ids(documents: Sequence[Document], ids: Iterable[str | None] | None) -> list[str]:
    """For each document the id of the call, or else its own, or else a new one."""
    if ids is not None:
        check_list(ids, "ids")
    called = [None] * len(documents) if ids is None else list(ids)
    if len(called) != len(documents):
        raise BadArgument(f"{len(called)} ids for {len(documents)} documents")
    wanted = [
        document.id if one is None else one for one, document in zip(called, documents, strict=True)
    ]
    return [str(uuid4()) if one is None else _checked_id(one) for one in wanted]


def _chunks(documents: Sequence[Document], ids: Sequence[str]) -> Iterator[Chunk]:
    for number, (document, chunk_id) in enumerate(zip(documents, ids, strict=True)):
        try:
            yield to_chunk(document, chunk_id)
        except BadArgument as problem:
            raise BadArgument(f"documents[{number}] (id {chunk_id!r}): {problem}") from None


def _distinct(chunks: Iterable[Chunk]) -> list[Chunk]:
    """One chunk an id: the same document twice is one, two documents under one id are an error."""
    found: dict[str, Chunk] = {}
    for chunk in chunks:
        if found.setdefault(chunk.chunk_id, chunk) != chunk:
            raise BadArgument(f"two different documents have the id {chunk.chunk_id!r}")
    return list(found.values())


def _lies_in(chunk: Chunk, scope: Scope) -> bool:
    where = narrow(scope)
    whose = {"patient_id": chunk.patient_id, "encounter_id": chunk.encounter_id}
    return where is not None and admits(where, whose)
