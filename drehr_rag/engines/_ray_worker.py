"""What runs in Ray's processes: reading a whole source, and one worker with its own encoder."""

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from drehr_rag.encoders import load_encoder
from drehr_rag.engines._hearing import Hearing, Said
from drehr_rag.engines._work import encode_block, write
from drehr_rag.errors import BadArgument, DrehrError, EncoderMismatch, UnknownName
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.protocols import Accepted, Chunker, Encoded, Encoder, NoteStream
from drehr_rag.stores import Access, ScopedStore, open_store
from drehr_rag.types import Fingerprint, Note, Reject

ROWS = 64
"""Notes that travel together: a row of Ray Data costs more than a note."""


def read_source(
    row: Mapping[str, Any], *, folder: str, format: str | None, fields: Fields | None
) -> Iterator[dict[str, Any]]:
    """A file or folder as rows of Ray Data, each a pickled list of notes and rejects.

    What the source logs, and the error that ends it, travel in the lists too, so that the driver
    meets them where it would have met them by reading the source itself.

    Args:
        row: `number` and `path` of the source.
        folder: Where the driver stands: paths, and what is said of them, stay as they were given.
        format: As of `read_notes`.
        fields: As of `read_notes`.
    """
    with _standing_in(folder):
        items = _items(read_notes(row["path"], format=format, fields=fields))
        while some := list(islice(items, ROWS)):
            yield {"number": row["number"], "notes": pickle.dumps(some)}


@contextmanager
def _standing_in(folder: str) -> Iterator[None]:
    """For a while, if it is there; the one that Ray's process was started in may be gone."""
    before = Path(folder)
    with suppress(FileNotFoundError):
        before = Path.cwd()
    with suppress(OSError):
        os.chdir(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)


def _items(notes: NoteStream) -> Iterator[Note | Reject | Said | DrehrError]:
    with Hearing() as hearing:
        try:
            yield from notes
        except DrehrError as problem:
            yield from hearing.take()
            yield problem
        yield from hearing.take()


def notes_of(rows: Iterable[Mapping[str, Any]]) -> NoteStream:
    """The notes of `read_source`'s rows.

    Raises:
        DrehrError: The one that the source raised.
    """
    for row in rows:
        for item in pickle.loads(row["notes"]):
            if isinstance(item, DrehrError):
                raise item
            if isinstance(item, Said):
                item.again()
            else:
                yield item


@dataclass(frozen=True)
class Recipe:
    """What a worker builds its encoder and chunker from.

    Attributes:
        encoder: Its name, and the options that it is loaded with.
        fingerprint: Of the driver's encoder.
        chunker: Its name and options.
        server: The store, if it is a server, which the worker then writes to; and the access.
        gpu: Whether the worker was given one; else it must not take what others were given.
    """

    encoder: tuple[str, Mapping[str, Any]]
    fingerprint: Fingerprint
    chunker: tuple[str, Mapping[str, Any]]
    server: tuple[str, Access] | None
    gpu: bool


class Worker:
    """Splits and encodes blocks; writes them too where the store is a server.

    Loading is left to the first call: Ray builds a worker that died anew, and an error in a call
    comes back as itself.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Nothing is loaded."""
        self._recipe = recipe
        if not recipe.gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def ready(self) -> None:
        """Load everything.

        Raises:
            BadArgument: No encoder is called so here.
            EncoderMismatch: The encoder of this name is another than the driver's.
        """
        self._chunker, self._store  # noqa: B018

    def encode(self, block: Sequence[Accepted]) -> tuple[Encoded, list[Said]]:
        """Its chunks and vectors, without them if they were written; and what was logged."""
        with Hearing() as hearing:
            encoded = encode_block(block, self._chunker, self._encoder)
            if self._store:
                write(encoded, self._store)
                encoded.rows = None
            return encoded, hearing.take()

    @cached_property
    def _encoder(self) -> Encoder:
        (name, options), wanted = self._recipe.encoder, self._recipe.fingerprint
        try:
            encoder = load_encoder(name, **options)
        except UnknownName as problem:
            raise BadArgument(
                f"the workers load the encoder by its name, and none is called {name!r} there: "
                f"an encoder made in your own process cannot be used with this engine ({problem})"
            ) from None
        if encoder.fingerprint != wanted:
            raise EncoderMismatch(
                f"a worker loaded {name!r} as {encoder.fingerprint}, but the index was opened with "
                f"{wanted}: give the encoder by its name, its options as encoder_options, and put "
                "the same model on every node"
            )
        return encoder

    @cached_property
    def _chunker(self) -> Chunker:
        (name, options), encoder = self._recipe.chunker, self._encoder
        return load_chunker(
            name, count_tokens=encoder.count_tokens, max_tokens=encoder.max_tokens, **options
        )

    @cached_property
    def _store(self) -> ScopedStore | None:
        if self._recipe.server is None:
            return None
        location, access = self._recipe.server
        return open_store(location, access=access)
