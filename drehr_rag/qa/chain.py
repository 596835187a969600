"""Question to answer: may it be asked, what is read, what is said, what of it the notes support."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from anyio import to_thread

from drehr_rag._arguments import check_list, check_words, needs_scope, positive
from drehr_rag.errors import BadArgument, NotAllowed
from drehr_rag.protocols import Generator, Reply, StreamingGenerator
from drehr_rag.qa.answering import NOTHING_FOUND, UNSUPPORTED_POLICIES, Asked, Unsupported
from drehr_rag.qa.audit import AuditLog
from drehr_rag.qa.claims import Growing, claims_of
from drehr_rag.qa.passages import BUDGET, Count, estimate
from drehr_rag.qa.retrieving import PASSAGES, Entities, Retrieved, retrieve
from drehr_rag.types import NOTICE, Answer, AnswerSentence, Hit, Scope

SearchBatch = Callable[..., list[list[Hit]]]
"""As `EhrIndex.search_batch`: queries, and the keywords `scope`, `k` and what narrows the search."""

Allow = Callable[[str | None, Scope], bool]
"""Who asks, and for whose notes: whether that may be answered."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How questions are answered.

    Attributes:
        passages: Hits that are read at most.
        budget: Tokens of all passages together.
        count: Tokens of a text, by the generator's tokenizer.
        unsupported: `remove` sentences that the notes do not support, or `flag` them.
        entities: Names what a question asks about, so that each is searched for.
        notice: Goes with every answer.
    """

    passages: int = PASSAGES
    budget: int = BUDGET
    count: Count = field(default=estimate, repr=False)
    unsupported: Unsupported = "remove"
    entities: Entities | None = field(default=None, repr=False)
    notice: str = NOTICE

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            BadArgument: A number below 1, or another policy.
        """
        positive(self.passages, "passages")
        positive(self.budget, "budget")
        if self.unsupported not in UNSUPPORTED_POLICIES:
            raise BadArgument(
                f"unsupported is one of {', '.join(UNSUPPORTED_POLICIES)}, not {self.unsupported!r}"
            )


class QaChain:
    """Answers from the notes in scope, each sentence cited, or not at all.

    Args:
        search: `EhrIndex.search_batch`.
        generator: What writes the answers.
        settings: How.
        allow: Asked before anything is searched; by default every scope is allowed.
        caller: Who asks, for `allow` and the audit.
        audit: Where each question is recorded.
    """

    def __init__(
        self,
        search: SearchBatch,
        generator: Generator,
        *,
        settings: Settings | None = None,
        allow: Allow | None = None,
        caller: str | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        """Nothing is searched or asked yet."""
        self._search, self._generator = search, generator
        self._settings = settings or Settings()
        self._allow, self._caller, self._audit = allow, caller, audit

    @needs_scope
    def ask(self, question: str, *, scope: Scope, **narrow: Any) -> Answer:
        """Answer a question.

        Args:
            question: In plain words.
            scope: Whose notes.
            narrow: What else narrows the search, as in `EhrIndex.search`.

        Raises:
            ScopeRequired: No scope.
            NotAllowed: The caller may not read it.
            GeneratorError: The generator failed, or its reply is not JSON of the schema.
        """
        with self._recorded(question, scope) as done:
            work = self._prepared(question, scope, narrow)
            if work.asked:
                work.reply = _reply(self._generator, work.asked)
            return done(work.answer())

    async def aask(self, question: str, *, scope: Scope, **narrow: Any) -> Answer:
        """As `ask`, without blocking the event loop; cancelling it ends the request."""
        with self._recorded(question, scope) as done:
            work = await to_thread.run_sync(self._prepared, question, scope, narrow)
            if work.asked:
                work.reply = await _awaited(self._generator, work.asked)
            return done(work.answer())

    async def astream(
        self, question: str, *, scope: Scope, **narrow: Any
    ) -> AsyncIterator[AnswerSentence | Answer]:
        """Each sentence as soon as it is verified, then the whole answer.

        A generator that cannot stream gives all sentences at once.

        Raises:
            ScopeRequired, NotAllowed, GeneratorError: As of `ask`; a reply that breaks off is an
                error after the sentences that had come.
        """
        with self._recorded(question, scope) as done:
            work = await to_thread.run_sync(self._prepared, question, scope, narrow)
            if work.asked and isinstance(self._generator, StreamingGenerator):
                async for sentence in _streamed(self._generator, work):
                    yield sentence
            elif work.asked:
                work.reply = await _awaited(self._generator, work.asked)
            answer = done(work.answer())
            for sentence in answer.sentences[work.shown :]:
                yield sentence
            yield answer

    @needs_scope
    def ask_many(self, questions: Sequence[str], *, scope: Scope, **narrow: Any) -> list[Answer]:
        """Answers to many questions about the same notes, in their order; see `ask`.

        Questions are encoded in one go, and a generator that can is asked several at a time.
        """
        check_list(questions, "questions")
        many = getattr(self._generator, "generate_many", None)
        if many is None:
            return [self.ask(question, scope=scope, **narrow) for question in questions]
        works = [self._prepared(question, scope, narrow) for question in questions]
        asked = [work for work in works if work.asked]
        replies = many([work.asked.request for work in asked if work.asked])
        for work, reply in zip(asked, replies, strict=True):
            work.reply = reply
        return [self._finished(question, scope, work) for question, work in zip(questions, works, strict=True)]

    def _finished(self, question: str, scope: Scope, work: "_Work") -> Answer:
        with self._recorded(question, scope) as done:
            if isinstance(work.reply, Exception):
                raise work.reply
            return done(work.answer())

    @contextmanager
    def _recorded(self, question: str, scope: Scope) -> Iterator[Callable[[Answer], Answer]]:
        """Whether it may be asked; and what came of it goes into the audit, whatever came."""
        check_words(question, "question")
        held: list[Answer] = []

        def done(answer: Answer) -> Answer:
            held.append(answer)
            self._record(question, scope, answer, None)
            return answer

        try:
            if self._allow and not self._allow(self._caller, scope):
                raise NotAllowed("the caller may not read the notes of this scope")
            yield done
        except BaseException as problem:
            if not held:
                self._record(question, scope, None, problem)
            raise

    def _record(
        self, question: str, scope: Scope, answer: Answer | None, error: BaseException | None
    ) -> None:
        if self._audit:
            model = getattr(self._generator, "model", None) or type(self._generator).__name__
            self._audit.record(
                question, scope, caller=self._caller, model=model, answer=answer, error=error
            )

    def _prepared(self, question: str, scope: Scope, narrow: dict[str, Any]) -> "_Work":
        started, settings = perf_counter(), self._settings

        def find(queries: list[str], k: int) -> list[list[Hit]]:
            return self._search(queries, scope=scope, k=k, **narrow)

        found = retrieve(question, find, entities=settings.entities, most=settings.passages)
        seconds = perf_counter() - started
        policy, count = settings.unsupported, settings.count
        asked = None
        if found.hits:
            asked = Asked.of(question, found.hits, policy, settings.budget, count)
        return _Work(question, found, asked, settings.notice, seconds)


@dataclass(slots=True)
class _Work:
    """One question, under way."""

    question: str
    found: Retrieved
    asked: Asked | None
    notice: str
    seconds: float
    reply: Reply = field(default_factory=lambda: Reply(""))
    generating: float = 0.0
    shown: int = 0

    def answer(self) -> Answer:
        """With what is known of the search."""
        if self.asked is None:
            made = Answer(question=self.question, abstained=True, reason=NOTHING_FOUND)
        else:
            made = self.asked.answer(claims_of(self.reply.text), self.generating)
        trace = replace(made.trace, queries=self.found.queries, left=self.found.left)
        tokens = self.reply.tokens._asdict() if self.reply.tokens else None
        seconds = {"retrieve": self.seconds, **made.seconds}
        return made.model_copy(
            update={"trace": trace, "tokens": tokens, "seconds": seconds, "notice": self.notice}
        )
