"""A question about a patient, with what is known of its answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from drehr_rag.types import Id, OptionalId

Relevance = Literal["essential", "supplementary"]


def _words(value: object) -> object:
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("holds no text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which cannot be stored") from None
    return value


Words = Annotated[str, BeforeValidator(_words)]

_RECORD = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Evidence(BaseModel):
    """A stretch of a note that answers, `note.text[start:end]`.

    Attributes:
        relevance: `essential` to an answer, or `supplementary` (ArchEHR-QA's words).
        quote: The words that stand there, if the set repeats them: a check.
    """

    model_config = _RECORD

    note_id: Id
    start: int = Field(ge=0, strict=True)
    end: int = Field(strict=True)
    relevance: Relevance = "essential"
    quote: Words | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _holds_something(self) -> "Evidence":
        if self.end <= self.start:
            raise ValueError("ends where it starts, or before")
        return self


class Question(BaseModel):
    """One question about one patient.

    Attributes:
        answers: Acceptable answers; `()` if the notes do not tell; None if none was written down.
        evidence: Where the answer stands; `()` if nowhere; None if nobody judged.
        entities: How many clinical entities the question names, if counted.
    """

    model_config = _RECORD

    question_id: Id
    patient_id: Id
    question: Words = Field(repr=False)
    answers: tuple[Words, ...] | None = Field(default=None, repr=False)
    evidence: tuple[Evidence, ...] | None = None
    entities: int | None = Field(default=None, ge=0, strict=True)
    split: OptionalId = None
    kind: OptionalId = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Question":
        if self.answers == () and self.evidence:
            raise ValueError("evidence is given though the notes do not tell (answers: [])")
        if self.answers and self.evidence == ():
            raise ValueError("answers are given without evidence (leave it out if nobody judged)")
        return self

    @property
    def answerable(self) -> bool | None:
        """Whether the notes tell; None if the set does not say."""
        if self.answers is None and self.evidence is None:
            return None
        return bool(self.answers or self.evidence)

    def essential(self) -> tuple[Evidence, ...]:
        """The evidence that an answer needs."""
        return tuple(e for e in self.evidence or () if e.relevance == "essential")
