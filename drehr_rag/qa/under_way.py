"""A question on its way to an answer: what was found for it, what was replied, what is recorded."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from drehr_rag.errors import GeneratorError, ReplyUnusable, TextTooLong
from drehr_rag.protocols import Reply
from drehr_rag.qa.answering import NOTHING_FOUND, Asked
from drehr_rag.qa.claims import claims_of
from drehr_rag.qa.retrieving import Retrieved
from drehr_rag.types import Answer, Scope

Failure = GeneratorError | TextTooLong
"""What is wrong with one question, and no other."""


@dataclass(slots=True)
class Work:
    """A question with what was found for it and, in the end, the reply.

    Attributes:
        seconds: What the search took; of questions that were searched for together, a share.
        generating: Seconds until the reply was whole.
        shown: Sentences that were given before the answer.
    """

    question: str = field(repr=False)
    found: Retrieved
    asked: Asked | None
    notice: str
    seconds: float
    reply: Reply | GeneratorError = field(default_factory=lambda: Reply(""))
    generating: float = 0.0
    shown: int = 0

    def answer(self) -> Answer:
        """With what is known of the search.

        Raises:
            GeneratorError: There was no reply, or none of the schema.
        """
        tokens = None
        if self.asked is None:
            made = Answer(question=self.question, abstained=True, reason=NOTHING_FOUND)
        elif isinstance(self.reply, GeneratorError):
            raise self.reply
        else:
            made = self.asked.answer(claims_of(uncut(self.reply)), self.generating)
            tokens = self.reply.tokens._asdict() if self.reply.tokens else None
        found = self.found
        trace = replace(made.trace, queries=found.queries, left=found.left, times=found.times)
        seconds = {"retrieve": self.seconds, **made.seconds}
        return made.model_copy(
            update={"trace": trace, "tokens": tokens, "seconds": seconds, "notice": self.notice}
        )


@dataclass(slots=True)
class Record:
    """A question's line in the audit: written once, with what was read by then.

    Attributes:
        outcome: The answer, or why there is none, as soon as it is known.
    """

    question: str = field(repr=False)
    scope: Scope
    to_audit: Callable[..., None] = field(repr=False)
    work: Work | None = None
    outcome: Answer | Failure | None = field(default=None, repr=False)
    written: bool = False

    def done(self) -> Answer:
        """The answer, recorded before anybody sees the whole of it.

        Raises:
            GeneratorError: There is none.
        """
        if self.work is None:
            raise GeneratorError("the question was not asked")
        answer = self.work.answer()
        self.write(answer)
        return answer

    def settle(self) -> None:
        """The outcome, recorded, and its passages let go; one that is known already stays."""
        if self.outcome is None:
            try:
                self.outcome = self.done()
            except GeneratorError as problem:
                self.outcome = problem
        self.write(self.outcome)
        self.work = None

    def write(self, outcome: Answer | BaseException) -> None:
        """Unless that was done."""
        if not self.written:
            self.written = True
            asked = self.work.asked if self.work else None
            self.to_audit(outcome, asked.read() if asked else ())


def uncut(reply: Reply) -> str:
    """Its text.

    Raises:
        ReplyUnusable: It ended because it was too long.
    """
    if reply.finish == "length":
        raise ReplyUnusable("the generator's reply was cut: raise its max_tokens")
    return reply.text
