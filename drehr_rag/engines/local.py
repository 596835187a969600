"""This process: one block after the other."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from drehr_rag.engines._work import encode_block
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.protocols import Accepted, Encoded, NoteStream, Parts


def load() -> "LocalEngine":
    """The engine; it has no options."""
    return LocalEngine()


class LocalEngine:
    """Reads, splits and encodes in the process that drives the run."""

    def read(
        self, sources: Sequence[Path], *, format: str | None = None, fields: Fields | None = None
    ) -> Iterator[tuple[Path, NoteStream]]:
        """Each source with its notes, as `read_notes` gives them."""
        for source in sources:
            yield source, read_notes(source, format=format, fields=fields)

    def encode(self, blocks: Iterable[Sequence[Accepted]], parts: Parts) -> Iterator[Encoded]:
        """What became of each block."""
        for block in blocks:
            yield encode_block(block, parts.chunker, parts.encoder)

    def close(self) -> None:
        """Nothing was started."""
