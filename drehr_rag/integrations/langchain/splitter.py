"""`DrEhrTextSplitter`: notes as LangChain's documents into passages that know where they stand."""

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.embeddings import Embeddings

from drehr_rag.errors import BadArgument
from drehr_rag.indexing import NOTES
from drehr_rag.integrations._kept import ONE_LOST
from drehr_rag.integrations._threads import twin
from drehr_rag.integrations.langchain._documents import listed, made_of, note_id_of, place
from drehr_rag.integrations.langchain._foreign import encoder_of
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.protocols import Chunker
from drehr_rag.types import Chunk, Note


class DrEhrTextSplitter(BaseDocumentTransformer):
    """Cuts notes as `EhrIndex.add` does: the same passages, with the same ids.

    A passage keeps the metadata of its document and gains `note_id`, `section`, `start` and `end`;
    the offsets point into the untouched text, whatever was cleaned.

    A document whose id is its metadata's `note_id`, as of `EhrNoteLoader`, is that note. Any other
    that names a note is a part of it, such as a page, and two pages of the same words are two:
    the ids of their passages tell them apart by the documents' ids, or else by their metadata.

    Args:
        embedding: What the passages are for: they are filled up to its tokens. `words` needs none.
        chunker: `sections` (never crosses a section, keeps sentences whole), `words` (windows of
            100 cleaned words, overlap 10), or a third party's.
        options: The chunker's own, e.g. `target_tokens=120` or `cleaning="cliniq"`.
    """

    def __init__(
        self, embedding: Embeddings | None = None, *, chunker: str = "sections", **options: Any
    ) -> None:
        """Nothing is loaded yet.

        Raises:
            BadArgument: Tokens are to be counted, and nothing says by whom.
        """
        if embedding is None and chunker != "words":
            raise BadArgument(f"{chunker} counts tokens: name the embedding that it is to fit")
        self._embedding = embedding
        self._name = chunker
        self._options = options

    @cached_property
    def _chunker(self) -> Chunker:
        if self._embedding is None:  # words are cut where they are, whatever their tokens
            return load_chunker("words", count_tokens=_no_tokens, max_tokens=1, **self._options)
        encoder = encoder_of(self._embedding)
        return load_chunker(
            self._name,
            count_tokens=encoder.count_tokens,
            max_tokens=encoder.max_tokens,
            **self._options,
        )

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """The passages of all documents, in order.

        Raises:
            BadArgument: A document holds no text, or none is left after cleaning; or two that
                differ have the same id, so that passages of one would be lost.
        """
        given = listed(documents)
        notes = [_note(document, number) for number, document in enumerate(given)]
        pieces: list[Document] = []
        known: dict[str | None, Document] = {}
        for first in range(0, len(notes), NOTES):
            for number, chunks in enumerate(
                self._chunker.split(notes[first : first + NOTES]), first
            ):
                if not chunks:
                    raise BadArgument(f"documents[{number}]: no words are left after cleaning")
                for piece in (_piece(given[number], chunk) for chunk in chunks):
                    if known.setdefault(piece.id, piece) != piece:
                        raise BadArgument(f"documents[{number}] {ONE_LOST}")
                    pieces.append(piece)
        return pieces

    def transform_documents(
        self, documents: Sequence[Document], **kwargs: Any
    ) -> Sequence[Document]:
        """As `split_documents`."""
        return self.split_documents(documents, **kwargs)

    def split_text(self, text: str) -> list[str]:
        """The passages of one text."""
        return [piece.page_content for piece in self.split_documents([Document(text)])]

    def create_documents(
        self, texts: Iterable[str], metadatas: Iterable[dict[str, Any] | None] | None = None
    ) -> list[Document]:
        """The passages of texts."""
        return self.split_documents(made_of(texts, metadatas))

    if not TYPE_CHECKING:  # the signature is the base's; its body takes the loop's own threads
        atransform_documents = twin(transform_documents)


def _no_tokens(texts: Sequence[str]) -> list[int]:
    return [0] * len(texts)


def _note(document: Document, number: int) -> Note:
    """The document as a note to cut; it need not be anybody's, so it is not checked as one."""
    if not document.page_content.strip():
        raise BadArgument(f"documents[{number}] holds no text: leave it out")
    return Note.model_construct(note_id=_name(document), patient_id="", text=document.page_content)


def _name(document: Document) -> str:
    """What its passages' ids begin with; the note's id only if it is the note itself."""
    note_id = note_id_of(document)
    if note_id is None:
        return document.id or _digest(document)
    return note_id if document.id == note_id else f"{note_id}_{_digest(document)}"


def _digest(document: Document) -> str:
    what = document.id or [document.page_content, document.metadata]
    made_of = json.dumps(what, sort_keys=True, default=str)
    return sha256(made_of.encode(errors="replace")).hexdigest()[:16]


def _piece(document: Document, chunk: Chunk) -> Document:
    begin, _ = place(document.metadata, len(document.page_content))
    section = {"section": chunk.section} if chunk.section is not None else {}
    where = {"start": begin + chunk.start, "end": begin + chunk.end}
    note_id = note_id_of(document) or chunk.note_id
    metadata = {**deepcopy(document.metadata), "note_id": note_id, **section, **where}
    return Document(id=chunk.chunk_id, page_content=chunk.text, metadata=metadata)
