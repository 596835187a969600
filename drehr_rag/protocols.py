"""What a plug-in of each kind must offer. Nothing here has behaviour."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from drehr_rag.types import (
    Chunk,
    Filters,
    Fingerprint,
    Hit,
    Note,
    PatientHits,
    Ranked,
    Reject,
    Scope,
    SparseVector,
    Vectors,
)


class FieldMap(Protocol):
    """Turns a source's row into a note, by the user's column names."""

    def note(self, row: Mapping[str, Any], *, file: str, line: int | None) -> Note | Reject:
        """The row as a note, or why it cannot be one."""
        ...


class Reader(Protocol):
    """A module in `notes/readers/`: a file format, read as a stream."""

    def recognise(self, path: Path, head: str) -> bool:
        """Whether the file is of this format; `head` is its first 4,096 characters."""
        ...

    def read(self, path: Path, fields: FieldMap) -> Iterator[Note | Reject]:
        """Every note, and a `Reject` in the place of each row that cannot be read."""
        ...


@runtime_checkable
class Chunker(Protocol):
    """Splits notes into chunks with offsets into the raw text."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides its chunks (JSON values); part of each chunk's id."""
        ...

    def split(self, notes: Sequence[Note]) -> list[list[Chunk]]:
        """The chunks of each note, in the order of the text."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Texts to vectors, by two verbs: a flag forgotten once would spoil an index."""

    @property
    def name(self) -> str:
        """What `load_encoder` takes to load it again."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """What decides the vectors."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest passage in tokens that is not cut, special tokens not counted."""
        ...

    @property
    def truncated(self) -> int:
        """How many passages were cut since it was loaded."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not counted."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension), each of length 1."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Shape (texts, dimension), each of length 1."""
        ...


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that also tells what it makes of each token, for late interaction."""

    def query_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Shape (tokens, dimension) for each query, each row of length 1."""
        ...

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Shape (tokens, dimension) for each passage, each row of length 1."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Looks at query and passage together: slower than a search, so only at its best hits."""

    @property
    def name(self) -> str:
        """What `load_reranker` takes to load it again."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One score a text, in their order; higher is better, comparable within one call."""
        ...


@runtime_checkable
class HitReranker(Reranker, Protocol):
    """A reranker that looks at what a search tells of a hit, its base's score included.

    Attributes:
        depth: Hits that it looks at, unless another number is asked for.
        share: What its score counts beside the base's, likewise.
    """

    depth: int
    share: float

    def score_hits(self, query: str, hits: Sequence[Hit]) -> Sequence[float]:
        """One score a hit, in their order; higher is better, comparable within one call."""
        ...


@dataclass(frozen=True, slots=True)
class NoteState:
    """What a store holds of one note."""

    digest: str | None
    chunks: int
    complete: bool
    patient_id: str | None = None


@runtime_checkable
class Store(Protocol):
    """Vectors to hits, inside a scope. The only place where scope is enforced."""

    @property
    def manifest(self) -> dict[str, Any]:
        """Schema version, encoder fingerprint, chunker settings."""
        ...

    def search_dense(
        self, vectors: Vectors, *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k nearest chunks of each query vector, by cosine."""
        ...

    def search_sparse(
        self, vectors: Sequence[SparseVector], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best chunks of each sparse query, by BM25."""
        ...

    def rank_dense(
        self, vectors: Vectors, *, scope: Scope, filters: Filters, k: int, named: bool = True
    ) -> list[list[Ranked]]:
        """As `search_dense`, without the chunks; by the ids of their points if not `named`."""
        ...

    def rank_sparse(
        self,
        vectors: Sequence[SparseVector],
        *,
        scope: Scope,
        filters: Filters,
        k: int,
        named: bool = True,
    ) -> list[list[Ranked]]:
        """As `search_sparse`, without the chunks; by the ids of their points if not `named`."""
        ...

    def at(self, point_ids: Sequence[str], *, scope: Scope, filters: Filters) -> dict[str, Chunk]:
        """Those of the points that exist and meet the filters; outside the scope is an error."""
        ...

    def patients_dense(
        self, vector: Vectors, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k patients with the nearest chunks, each with its nearest."""
        ...

    def patients_sparse(
        self, vector: SparseVector, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k patients with the best chunks by BM25, each with its best."""
        ...

    def get(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Those of the chunks that exist in scope, in the order asked for."""
        ...

    def count(self, *, scope: Scope, filters: Filters) -> int:
        """How many chunks are in scope."""
        ...

    def facets(self, field: str, *, scope: Scope, filters: Filters) -> dict[str, int]:
        """Chunks per value of a field, most frequent first."""
        ...

    def vectors(self, chunk_ids: Sequence[str], *, scope: Scope) -> dict[str, Vectors]:
        """The dense vectors of those of the chunks that exist in scope."""
        ...

    def note_states(self, note_ids: Sequence[str]) -> dict[str, NoteState]:
        """What is held of these notes; those unknown are absent."""
        ...

    def upsert(
        self,
        chunks: Sequence[Chunk],
        dense: Vectors,
        sparse: Sequence[SparseVector],
        digests: Mapping[str, tuple[str, int]],
        *,
        scope: Scope | None = None,
    ) -> None:
        """Write chunks, inside the scope if one is given.

        `digests` gives each note's digest and number of chunks.
        """
        ...

    def scan(self, *, scope: Scope, filters: Filters) -> Iterator[Chunk]:
        """Every chunk in scope, in no order."""
        ...

    def delete(self, *, scope: Scope, filters: Filters) -> int:
        """Delete the chunks in scope; returns how many."""
        ...

    def drop_stale(self, digests: Mapping[str, str]) -> None:
        """Delete every chunk of these notes that does not bear the given digest."""
        ...

    def delete_notes(self, note_ids: Sequence[str]) -> int:
        """Delete all chunks of these notes; returns how many chunks went."""
        ...

    def delete_patient(self, patient_id: str) -> int:
        """Delete all chunks of a patient; returns how many chunks went."""
        ...

    def close(self) -> None:
        """Flush and let go."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """A note that is to be indexed.

    Attributes:
        digest: Over the note and the chunker's settings; each of its chunks will bear it.
        replaces: Whether the store holds another version of it.
    """

    note: Note
    digest: str
    replaces: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """Chunks with their vectors, as `Store.upsert` takes them."""

    chunks: Sequence[Chunk]
    dense: Vectors
    sparse: Sequence[SparseVector]
    digests: Mapping[str, tuple[str, int]]


@dataclass(slots=True)
class Encoded:
    """What became of a block of accepted notes.

    Attributes:
        replaces: Each note that has chunks, and whether it replaces an older version.
        empty: Notes that no words were left of.
        chunks: How many there are of the block.
        truncated: How many of them the encoder cut.
        seconds: What encoding them took.
        rows: What is still to be written; None if there is nothing, or the engine has written it.
    """

    replaces: Mapping[str, bool]
    empty: Sequence[Note]
    chunks: int
    truncated: int = 0
    seconds: float = 0.0
    rows: Rows | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine splits and encodes with, and how another process comes to the same.

    Attributes:
        encoder: Loaded here; a worker elsewhere loads it by `encoder.name`.
        encoder_options: What it was loaded with besides its name.
        chunker: Built here.
        chunker_name: What to build it from.
        chunker_options: Likewise.
        location: Of the store.
        access: How the store is talked to, if that was said.
    """

    encoder: Encoder
    encoder_options: Mapping[str, Any]
    chunker: Chunker
    chunker_name: str
    chunker_options: Mapping[str, Any]
    location: str
    access: Any = None


class Engine(Protocol):
    """Where notes are read, split and encoded. It decides nothing."""

    def read(
        self, sources: Sequence[Path], *, format: str | None = None, fields: Any = None
    ) -> Iterator[tuple[Path, "NoteStream"]]:
        """Each source with its notes, in order; a stream is read before the next is asked for."""
        ...

    def encode(self, blocks: Iterable[Sequence[Accepted]], parts: Parts) -> Iterator[Encoded]:
        """What became of each block, in any order; takes a block when it has room for it."""
        ...

    def close(self) -> None:
        """Let go of workers."""
        ...


@runtime_checkable
class KnowledgeGraph(Protocol):
    """Terms to concepts, and what is known of a concept. An unknown id is an `UnknownName`."""

    def concepts(self, term: str) -> list[str]:
        """Ids of the concepts that bear this name, whatever its case and spacing."""
        ...

    def synonyms(self, concept_id: str) -> list[str]:
        """Every name of the concept, the preferred first."""
        ...

    def preferred_term(self, concept_id: str) -> str | None:
        """The name to show; None for a concept without names."""
        ...

    def hypernyms(self, concept_id: str, *, depth: int | None = 1) -> list[str]:
        """Broader concepts up to `depth` steps away (None: all), nearest first, never itself."""
        ...

    def hyponyms(self, concept_id: str, *, depth: int | None = 1) -> list[str]:
        """Narrower concepts, likewise."""
        ...

    def related(self, concept_id: str) -> list[tuple[str, str]]:
        """Pairs of a relation's name and the concept that it leads to."""
        ...

    def semantic_types(self, concept_id: str) -> list[str]:
        """Names of its semantic types."""
        ...

    def terms(self) -> Iterator[str]:
        """Every name in the graph once."""
        ...


class Retriever(Protocol):
    """Queries to hits."""

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best hits of each query, best first."""
        ...

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks."""
        ...

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k best patients by their best hit, each with up to `per_patient` hits."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a generator is asked: the rendered prompt, and the parts it was made of.

    Attributes:
        prompt: The whole prompt, as a language model reads it.
        question: The question alone.
        passages: The numbered passages alone, number 1 first.
        schema: JSON schema that the reply must fit.
    """

    prompt: str = field(repr=False)
    question: str = field(repr=False)
    passages: tuple[str, ...] = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)


@runtime_checkable
class Generator(Protocol):
    """Prompt to text."""

    def generate(self, request: GenerationRequest) -> str:
        """The reply: JSON text that fits the request's schema."""
        ...


class TokenCounts(NamedTuple):
    """Tokens of a prompt and of its reply, as the server counted them."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a language model wrote.

    Attributes:
        text: As it came.
        finish: Why it ended: "stop", "length" if it was cut, …; None if the server did not say.
        tokens: What it cost, if the server said so.
        model: Which model wrote it.
    """

    text: str = field(repr=False)
    finish: str | None = None
    tokens: TokenCounts | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply that is still being written.

    Attributes:
        text: To be put after what came before; the last piece has none.
        finish: As of a `Reply`, of the last piece; None of the others.
        tokens: Likewise.
    """

    text: str = field(repr=False)
    finish: str | None = None
    tokens: TokenCounts | None = None


@runtime_checkable
class CountingGenerator(Generator, Protocol):
    """A generator that can say how long a text is to it."""

    def count(self, text: str) -> int | None:
        """Tokens of a text, by the model's own tokenizer; None if that cannot be had."""
        ...


@runtime_checkable
class StreamingGenerator(Generator, Protocol):
    """A generator that can also be awaited, and listened to while it writes."""

    async def agenerate(self, request: GenerationRequest) -> Reply:
        """The reply with what it cost; its text is what `generate` returns."""
        ...

    def astream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        """The reply piece by piece, then one without text that says why it ended."""
        ...


NoteStream = Iterable[Note | Reject]
