"""The records that pass between the layers: notes, chunks, hits, scopes, answers."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from math import isnan
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_serializer,
)

from drehr_rag.errors import BadArgument, ScopeError

Vectors = NDArray[np.float32]
"""Dense vectors, shape (number of texts, dimension), each of length 1."""


def as_id(value: object) -> str:
    """An identifier as a string, whatever type the source gave it.

    10000032, 10000032.0, numpy's integers and "10000032" are one patient.

    Raises:
        ValueError: It is empty, a truth value, or not an identifier at all.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, str | int | float | np.integer | np.floating
    ):
        raise ValueError("is missing or is not text or a whole number")
    if isinstance(value, float | np.floating):
        if not float(value).is_integer():
            raise ValueError("is a fraction, not a whole number")
        value = int(value)
    text = str(value).strip()
    if not text:
        raise ValueError("is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds characters that cannot be stored") from None
    return text


_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{8}(T|$)")
"""ISO weeks ("2180-W19") are dates to Python too, but a whole week is meant."""


def _optional_id(value: object) -> str | None:
    blank = value is None or value == "" or (isinstance(value, float) and isnan(value))
    return None if blank else as_id(value)


def as_time(value: object) -> datetime | None:
    """A date or date-time from ISO 8601 text ("2180-05-07", "2180-05-07 13:01:00").

    Raises:
        ValueError: It is something else; numbers are refused, since 2004 would read as 1970.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, str) and _DATE.match(value.strip()):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError:
            pass
    raise ValueError("is not a date or date-time such as 2180-05-07 or 2180-05-07T13:01:00")


Id = Annotated[str, BeforeValidator(as_id)]
OptionalId = Annotated[str | None, BeforeValidator(_optional_id)]
Time = Annotated[datetime | None, BeforeValidator(as_time)]


def _some_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is missing or holds no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which cannot be stored") from None
    return value


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("holds something that is no JSON value") from None
    return value


Status = Literal["present", "negated", "family", "conditional", "possible", "historical"]
"""What a note says of something that it mentions (`drehr_rag.notes.assertions`)."""


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """What a note says of the words `note.text[start:end]`.

    Raises:
        BadArgument: They are no stretch of text, or there is no such status.
    """

    start: int
    end: int
    status: Status

    def __post_init__(self) -> None:
        """Refuse what no text could have."""
        if type(self.start) is not int or type(self.end) is not int:
            raise BadArgument("start and end of a mention are whole numbers")
        if not 0 <= self.start < self.end:
            raise BadArgument(f"a mention from {self.start} to {self.end} is no stretch of text")
        if self.status not in get_args(Status):
            raise BadArgument(f"status of a mention is one of {', '.join(get_args(Status))}")


def _mentions(value: object) -> tuple[Mention, ...]:
    """From mentions, or rows of JSON; a table's cell holds them as JSON text."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return ()
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else ()
        except (ValueError, RecursionError):
            raise ValueError("holds broken JSON") from None
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ValueError("is no list of mentions, each with start, end and status")
    return tuple(sorted({_mention(number, one) for number, one in enumerate(value, 1)}))


def _mention(number: int, value: object) -> Mention:
    if isinstance(value, Mention):
        return value
    try:
        return Mention(value["start"], value["end"], value["status"])  # type: ignore[index]
    except (KeyError, TypeError, IndexError):
        raise ValueError(f"(number {number}) has not start, end and status") from None
    except BadArgument as problem:
        raise ValueError(f"(number {number}): {problem}") from None


def _inside(value: tuple[Mention, ...], note: ValidationInfo) -> tuple[Mention, ...]:
    """Without a text, that is what the error is about."""
    length = len(note.data.get("text", ""))
    last = max((one.end for one in value), default=0)
    if length and last > length:
        raise ValueError(
            f"reach to {last}, but the text has {length} characters: offsets count the characters "
            "of this very text"
        )
    return value


class Note(BaseModel):
    """One clinical document, untouched: every offset in this package points into its `text`.

    Attributes:
        note_id: Unique in a store (MIMIC `note_id` or `ROW_ID`; FHIR DocumentReference).
        patient_id: Whose note it is (MIMIC `subject_id`; FHIR Patient).
        encounter_id: The stay or visit (MIMIC `hadm_id`; FHIR Encounter), if known.
        encounter_start: When the encounter began, if known.
        encounter_end: When it ended, if known.
        note_type: For instance "Discharge summary", if known.
        written_at: When the note was written, if known.
        text: The raw text.
        metadata: Anything else that should come back with a hit (JSON values).
        mentions: What it says of what it mentions, where somebody has annotated it
            (`drehr_rag.notes.annotators`); rules read the rest when it is searched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    note_id: Id
    patient_id: Id
    encounter_id: OptionalId = None
    encounter_start: Time = None
    encounter_end: Time = None
    note_type: OptionalId = None
    written_at: Time = None
    text: Annotated[str, BeforeValidator(_some_text)] = Field(repr=False)
    metadata: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(
        default_factory=dict, repr=False
    )
    mentions: Annotated[
        tuple[Mention, ...], BeforeValidator(_mentions), AfterValidator(_inside)
    ] = Field(default=(), repr=False)

    @model_serializer(mode="wrap")
    def _dumped(self, dump: Any) -> dict[str, Any]:
        """Without mentions as before there were any: digests of indexed notes stay the same."""
        whole: dict[str, Any] = dump(self)
        if not self.mentions:
            whole.pop("mentions", None)
        return whole

    @property
    def origin(self) -> tuple[str, int | None]:
        """File and line that a reader took it from; an empty name if it was made otherwise."""
        origin: tuple[str, int | None] = self.__dict__.get("_origin", ("", None))
        return origin

    def read_from(self, file: str, line: int | None) -> "Note":
        """The same note, remembering where it was read."""
        self.__dict__["_origin"] = (file, line)  # no field: it is not part of what a note is
        return self


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be read: where it stands and why, never what it says.

    Attributes:
        retracted: The source takes the note back (an error, no text left), so an older version
            of it, of the same patient, leaves the store too.
    """

    file: str
    line: int | None
    reason: str
    note_id: str | None = None
    patient_id: str | None = None
    retracted: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a note under a heading: `text[start:end]`, its words from `body` on."""

    title: str | None
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit that is embedded and retrieved.

    Attributes:
        chunk_id: Derived from the note's id, the chunker's settings and the content.
        text: The passage as it is encoded (cleaned, if the chunker cleans).
        source: The very words of the note, `note.text[start:end]`.
        start: Offset of the first character in the raw note.
        end: Offset after the last character in the raw note.
        section: Heading of the section it stands under, in its usual name, if any.
        patient_id: None only for a text that belongs to no patient.
        mentions: Those of the note's that lie in it; their offsets are the note's, too.
    """

    chunk_id: str
    note_id: str
    patient_id: str | None
    start: int
    end: int
    text: str = field(repr=False)
    source: str = field(repr=False)
    encounter_id: str | None = None
    note_type: str | None = None
    section: str | None = None
    written_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    mentions: tuple[Mention, ...] = field(default=(), repr=False)


MatchKind = Literal["string", "synonym", "abbreviation", "hyponym", "related"]
"""How a term relates to the query, in CliniQ's words; `string`: the same words, spelt otherwise."""


@dataclass(frozen=True, slots=True)
class Match:
    """A term that stands in a chunk and says what the query says, or something narrower.

    Attributes:
        term: Its words.
        kind: How it relates to the query.
        of: The part of the query that it stands for.
        weight: What it is worth beside the query's own words.
        concept: The graph's concept of this name, if one is known.
        near: The graph's name that `of` was taken for by its vector, if nothing is called so
            (`EhrIndex.use_graph`, `nearest`).
    """

    term: str = field(repr=False)
    kind: MatchKind
    of: str = field(repr=False)
    weight: float = 1.0
    concept: str | None = None
    near: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Hit:
    """One retrieved chunk with its score.

    Attributes:
        score: Higher is better; comparable only within one result list.
        scores: The score of each stage that found it, e.g. `{"dense": 0.61, "lexical": 7.2}`
            (cosine in [-1, 1], BM25 from 0 up).
        matches: Terms other than the query's own that it was found by (mode `expanded`), the
            weightiest first.
        assertion: What the chunk says of the query's words, or of those terms: `present`, or
            `possible`, `conditional`, `historical`, of `family`, `negated` if it says nothing
            better of any mention. By the note's own `mentions`, where one holds the words, else by
            rules (`drehr_rag.notes.assertions`). None if it has no mention, or was not asked.
    """

    chunk: Chunk
    score: float
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    matches: tuple[Match, ...] = ()
    assertion: str | None = None


@dataclass(slots=True)
class Ranked:
    """A chunk's place in a ranking, without the chunk; fields as in `Hit`.

    Not frozen: a search makes hundreds, and a frozen one takes several times as long to make.
    """

    chunk_id: str
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PatientHits:
    """What one patient's notes yielded in a cohort search; `score` is that of the best hit."""

    patient_id: str | None
    score: float
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term weights: `indices` (uint32 term hashes, unique) and their `values`."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a claim stands: `note.text[start:end] == quote`.

    Attributes:
        assertion: What the words around the quote say of it: `present`, or that it is `negated`
            ("chest pain" out of "denies chest pain"), `possible`, `conditional`, `historical`, or
            of `family`. By the note's own `mentions`, where one holds the quote, else by rules
            (`drehr_rag.notes.assertions`), to which a quote that holds the denying word itself is
            `present`. It is said of the words that the generator quoted, also where `quote` was
            made wider to show what denies them.
    """

    note_id: str
    patient_id: str | None
    section: str | None
    start: int
    end: int
    quote: str = field(repr=False)
    chunk_id: str
    note_type: str | None = None
    written_at: datetime | None = None
    assertion: str = "present"


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """One sentence of an answer and the words of the notes that it rests on.

    Attributes:
        citations: At least one, unless `unsupported` says why there is none.
        unsupported: Why the notes do not support it; only where such sentences are kept.
    """

    text: str = field(repr=False)
    citations: tuple[Citation, ...]
    unsupported: str | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """A stretch of a note that the generator did not see, since it speaks to software."""

    note_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TimeUse:
    """A time that a question asks about, and what it did to the hits.

    Attributes:
        words: As they stand in the question.
        prefers: `later`, `earlier`, `admission`, `discharge`, `before admission` or `written` (on
            the date that the words are).
        raised: Hits that gained by it; 0 where none is of that time, or their notes carry none.
    """

    words: str = field(repr=False)
    prefers: str
    raised: int


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer came about.

    Attributes:
        queries: What was searched for: the question, then its entities.
        left: Hits that were left out, since they fell off or were too many.
        times: The question's words of time, and how many hits each moved up.
        passages: Ids of the chunks under each number that the generator read.
        copies: Hits left out since another passage says the same.
        over: Hits left out for want of room.
        withheld: What of the passages was kept from the generator.
        refused: Why sentences were not supported, and how many each.
    """

    queries: tuple[str, ...] = field(default=(), repr=False)
    left: int = 0
    times: tuple[TimeUse, ...] = ()
    passages: tuple[tuple[str, ...], ...] = ()
    copies: int = 0
    over: int = 0
    withheld: tuple[Withheld, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)


NOTICE = "Drawn from the notes by software; no medical advice. Read what it cites."
"""Goes with every answer."""


class Answer(BaseModel):
    """An answer from the notes, or the reason why there is none.

    Attributes:
        question: As it was asked.
        sentences: What is answered, each sentence with at least one citation.
        abstained: True when the notes in scope do not support an answer.
        reason: Why it abstained.
        removed: Sentences of the generator that no note supports; they are not in the answer.
        hits: The passages that were read.
        confidence: Share of the generator's sentences that the notes support; None if it
            abstained.
        trace: How it came about.
        seconds: What each step took.
        tokens: `prompt` and `completion`, as the server counted; None if it did not say.
        notice: That it is no medical advice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    question: str = Field(repr=False)
    sentences: tuple[AnswerSentence, ...] = ()
    abstained: bool = False
    reason: str | None = None
    removed: int = 0
    hits: tuple[Hit, ...] = Field(default=(), repr=False)
    confidence: float | None = None
    trace: Trace = Field(default_factory=Trace, repr=False)
    seconds: Mapping[str, float] = Field(default_factory=dict, repr=False)
    tokens: Mapping[str, int] | None = Field(default=None, repr=False)
    notice: str = Field(default=NOTICE, repr=False)

    @property
    def text(self) -> str:
        """The supported sentences in one string; empty if it abstained."""
        supported = (one.text for one in self.sentences if one.unsupported is None)
        return " ".join(" ".join(text.split()) for text in supported)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """All citations, in the order of the sentences, none twice."""
        return tuple(dict.fromkeys(c for s in self.sentences for c in s.citations))


def _scope_id(value: object, what: str) -> str:
    try:
        return as_id(value)
    except ValueError as problem:
        raise ScopeError(f"{what} {problem}") from None


@dataclass(frozen=True, slots=True)
class Patient:
    """Search the notes of one patient."""

    patient_id: str

    def __post_init__(self) -> None:
        """Normalise the id."""
        object.__setattr__(self, "patient_id", _scope_id(self.patient_id, "patient_id"))


@dataclass(frozen=True, slots=True)
class Encounter:
    """Search one stay or visit of one patient."""

    patient_id: str
    encounter_id: str

    def __post_init__(self) -> None:
        """Normalise the ids."""
        object.__setattr__(self, "patient_id", _scope_id(self.patient_id, "patient_id"))
        object.__setattr__(self, "encounter_id", _scope_id(self.encounter_id, "encounter_id"))


@dataclass(frozen=True)
class Cohort:
    """Search the notes of these patients; an empty cohort finds nothing."""

    patient_ids: frozenset[str]

    def __init__(self, patient_ids: Iterable[object]) -> None:
        """Take any iterable of ids, except one string."""
        if isinstance(patient_ids, str | bytes) or not isinstance(patient_ids, Iterable):
            raise ScopeError("Cohort takes a list of ids; for one patient write Patient(id)")
        ids = frozenset(_scope_id(value, "an id in the cohort") for value in patient_ids)
        object.__setattr__(self, "patient_ids", ids)

    @cached_property
    def sorted_ids(self) -> tuple[str, ...]:
        """The ids in order."""
        return tuple(sorted(self.patient_ids))


@dataclass(frozen=True, slots=True)
class AllPatients:
    """Search everybody's notes; the reason is for whoever reads the code or the log later."""

    reason: str

    def __post_init__(self) -> None:
        """Refuse an empty reason."""
        if not isinstance(self.reason, str) or not self.reason.strip():
            raise ScopeError('AllPatients needs a reason, e.g. reason="trial screening"')


Scope = Patient | Encounter | Cohort | AllPatients

Mode = Literal["hybrid", "dense", "lexical", "rrf", "expanded"]

SearchMode = Literal[Mode, "reranked"]
"""Modes of an index; `reranked` looks again at what another found."""

AssertionMode = Literal["ranked", "present", "any"]
"""What becomes of chunks that deny what is looked for: they sink; they are left out, and with them
what is only possible, past or a relative's; or nothing."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows a search inside its scope; each one given must hold.

    Attributes:
        note_types: Any of these note types (case and outer space do not matter).
        sections: Any of these sections ("PMH" and "past medical history" are the same).
        since: Notes written at or after this time. Notes without a time are left out.
        until: Notes written before or at this time; a date alone means its whole day.
        patient_ids: Only these patients, as far as they are in scope.
        encounter_ids: Only these encounters.
        note_ids: Only chunks of these notes.
        chunk_ids: Only these chunks.
    """

    note_types: tuple[str, ...] | None = None
    sections: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    patient_ids: tuple[str, ...] | None = None
    encounter_ids: tuple[str, ...] | None = None
    note_ids: tuple[str, ...] | None = None
    chunk_ids: tuple[str, ...] | None = None


SERVED = "served"
"""In a fingerprint, what a server does not tell."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What decides an encoder's vectors; device, precision and backend do not.

    Attributes:
        weights: SHA-256 over the weight files; "served" behind a server, which does not tell.
        pooling: "cls", "mean", …; "served" likewise.
        query_prompt: Put before each query.
        passage_prompt: Put before each passage.
        max_tokens: Longer texts are cut there, or split there and averaged.
        compat: "released" or "strict", where a published model's own code differs from its text.
        overflow: "cut" or "split".
    """

    model: str
    weights: str
    pooling: str
    query_prompt: str
    passage_prompt: str
    max_tokens: int
    dimension: int
    normalised: bool = True
    revision: str | None = None
    compat: str | None = None
    overflow: str = "cut"

    def __str__(self) -> str:
        """Short form for messages: model, pooling, dimension, first digits of the hash."""
        if self.weights == SERVED:
            return f"{self.model} (served, {self.dimension}-d)"
        return f"{self.model} ({self.pooling}, {self.dimension}-d, weights {self.weights[:8]})"


@dataclass
class IndexReport:
    """What an indexing run did, in notes unless said otherwise."""

    read: int = 0
    indexed: int = 0
    unchanged: int = 0
    replaced: int = 0
    rejected: int = 0
    chunks: int = 0
    truncated: int = 0
    seconds: float = 0.0
    encoding_seconds: float = 0.0
    rejects_file: str | None = None
