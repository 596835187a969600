"""What a chain said to one question, as one line of `answers.jsonl`."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from drehr_rag.types import Answer, Citation, Hit

_RECORD = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Cited(BaseModel):
    """Where a sentence says that it stands."""

    model_config = _RECORD

    note_id: str
    start: int
    end: int
    chunk_id: str
    quote: str = Field(repr=False)


class Said(BaseModel):
    """One sentence of the answer."""

    model_config = _RECORD

    text: str = Field(repr=False)
    citations: tuple[Cited, ...]


class Passage(BaseModel):
    """One passage that was read, in the order of the ranking."""

    model_config = _RECORD

    note_id: str
    start: int
    end: int
    chunk_id: str
    score: float
    text: str = Field(repr=False)


class Reply(BaseModel):
    """An answer, an abstention, or the reason why there is neither.

    Attributes:
        removed: Sentences that no note supports, which the chain took out.
        confidence: How sure the chain says it is, if it says so.
        seconds: How long it took.
        tokens: What the language model counted: `prompt`, `completion`; None if it did not say.
        error: Why the chain failed; then all the rest is empty.
    """

    model_config = _RECORD

    question_id: str
    abstained: bool = False
    reason: str | None = None
    removed: int = 0
    sentences: tuple[Said, ...] = ()
    passages: tuple[Passage, ...] = ()
    confidence: float | None = Field(default=None, allow_inf_nan=False)
    seconds: float
    tokens: dict[str, int] | None = None
    error: str | None = None

    @property
    def text(self) -> str:
        """The answer in one string; empty if there is none."""
        return " ".join(" ".join(sentence.text.split()) for sentence in self.sentences)

    @property
    def answered(self) -> bool:
        """Whether it neither abstained nor failed."""
        return self.error is None and not self.abstained

    @property
    def citations(self) -> tuple[Cited, ...]:
        """All citations, none twice."""
        return tuple(dict.fromkeys(c for s in self.sentences for c in s.citations))


def reply_of(
    question_id: str,
    answer: Answer,
    *,
    seconds: float,
    confidence: float | None = None,
    tokens: Mapping[str, int] | None = None,
) -> Reply:
    """The answer as a record."""
    return Reply(
        question_id=question_id,
        abstained=answer.abstained,
        reason=None if answer.reason is None else _storable(answer.reason),
        removed=answer.removed,
        sentences=tuple(
            Said(text=_storable(s.text), citations=tuple(map(_cited, s.citations)))
            for s in answer.sentences
        ),
        passages=tuple(map(_passage, answer.hits)),
        confidence=confidence,
        seconds=seconds,
        tokens=None if tokens is None else dict(tokens),
    )


def _storable(text: str) -> str:
    """A language model may write half of a surrogate pair, which no file can hold."""
    return text.encode(errors="replace").decode()


def _cited(citation: Citation) -> Cited:
    return Cited(
        note_id=citation.note_id,
        start=citation.start,
        end=citation.end,
        chunk_id=citation.chunk_id,
        quote=_storable(citation.quote),
    )


def _passage(hit: Hit) -> Passage:
    chunk = hit.chunk
    return Passage(
        note_id=chunk.note_id,
        start=chunk.start,
        end=chunk.end,
        chunk_id=chunk.chunk_id,
        score=hit.score,
        text=_storable(chunk.source),
    )
