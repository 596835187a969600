"""Question to answer: may it be asked, what is read, what is said, what of it the notes support."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from typing import Any

from anyio import to_thread

from drehr_rag._arguments import HOW, check_list, check_words, needs_scope, positive
from drehr_rag.errors import (
    BadArgument,
    GeneratorError,
    NotAllowed,
    ReplyUnusable,
    ScopeRequired,
)
from drehr_rag.protocols import GenerationRequest, Generator, Reply, StreamingGenerator
from drehr_rag.qa.answering import NOTHING_FOUND, UNSUPPORTED_POLICIES, Asked, Unsupported
from drehr_rag.qa.audit import AuditLog
from drehr_rag.qa.claims import Growing, claims_of
from drehr_rag.qa.counting import counter
from drehr_rag.qa.passages import BUDGET, Count
from drehr_rag.qa.retrieving import PASSAGES, Entities, Retrieved, retrieve
from drehr_rag.types import NOTICE, Answer, AnswerSentence, Hit, Scope

SearchBatch = Callable[..., list[list[Hit]]]
"""As `EhrIndex.search_batch`: queries; `scope`, `k` and what narrows the search as keywords."""

Allow = Callable[[str | None, Scope], bool]
"""Who asks, and for whose notes: whether that may be answered."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How questions are answered.

    Attributes:
        passages: Hits that are read at most.
        budget: Tokens of all passages together.
        count: Tokens of a text; by default the generator's own count, if it has one and the
            passages may exceed the budget, else an estimate.
        unsupported: `remove` sentences that the notes do not support, or `flag` them.
        entities: Names what a question asks about, so that each is searched for.
        marked: The generator is told beside each passage what it denies, suspects, or says of the
            past and of relatives (`notes/assertions.py`).
        by_time: Whether a question's words of time ("latest", "on discharge", "in March") move hits
            of that time up.
        notice: Goes with every answer.
    """

    passages: int = PASSAGES
    budget: int = BUDGET
    count: Count | None = field(default=None, repr=False)
    unsupported: Unsupported = "remove"
    entities: Entities | None = field(default=None, repr=False)
    marked: bool = True
    by_time: bool = True
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
        self.check(question, scope)
        with self._recorded(question, scope) as record:
            work = record.work = self._prepared(question, scope, narrow)
            if work.asked:
                (work.reply,) = _replies(self._generator, [work])
            return record.done()

    @needs_scope
    async def aask(self, question: str, *, scope: Scope, **narrow: Any) -> Answer:
        """As `ask`, without blocking the event loop; cancelling it ends the request."""
        self.check(question, scope)
        with self._recorded(question, scope) as record:
            work = record.work = await to_thread.run_sync(self._prepared, question, scope, narrow)
            if work.asked:
                started = perf_counter()
                work.reply = await _awaited(self._generator, work.asked.request)
                work.generating = perf_counter() - started
            return record.done()

    @needs_scope
    async def astream(
        self, question: str, *, scope: Scope, **narrow: Any
    ) -> AsyncGenerator[AnswerSentence | Answer, None]:
        """Each sentence as soon as it is verified, then the whole answer.

        A generator that cannot stream gives all sentences at once.

        Raises:
            ScopeRequired, NotAllowed, GeneratorError: As of `ask`; a reply that breaks off is an
                error after the sentences that had come.
        """
        self.check(question, scope)
        with self._recorded(question, scope) as record:
            work = record.work = await to_thread.run_sync(self._prepared, question, scope, narrow)
            if work.asked and isinstance(self._generator, StreamingGenerator):
                async with aclosing(_streamed(self._generator, work)) as sentences:
                    async for sentence in sentences:
                        yield sentence
            elif work.asked:
                work.reply = await _awaited(self._generator, work.asked.request)
            answer = record.done()
            for sentence in answer.sentences[work.shown :]:
                yield sentence
            yield answer

    @needs_scope
    def ask_many(
        self, questions: Sequence[str], *, scope: Scope, **narrow: Any
    ) -> list[Answer | GeneratorError]:
        """Answers to many questions about the same notes, in their order; see `ask`.

        A generator that can is asked several at a time. Where it failed, its error stands in the
        answer's place.
        """
        check_list(questions, "questions")
        return list(self._each(questions, scope, narrow))

    def _each(
        self, questions: Sequence[str], scope: Scope, narrow: dict[str, Any]
    ) -> Iterator[Answer | GeneratorError]:
        for question in questions:
            self.check(question, scope)
        with ExitStack() as stack:
            records = [stack.enter_context(self._recorded(q, scope)) for q in questions]
            for record in records:
                try:
                    record.work = self._prepared(record.question, scope, narrow)
                except GeneratorError as problem:  # of what names the question's entities
                    record.failure = problem
            works = [record.work for record in records if record.work and record.work.asked]
            for work, reply in zip(works, _replies(self._generator, works), strict=True):
                work.reply = reply
            for record in records:
                try:
                    yield record.done()
                except GeneratorError as problem:
                    record.write(problem)
                    yield problem

    @contextmanager
    def _recorded(self, question: str, scope: Scope) -> "Iterator[_Record]":
        """What came of the question goes into the audit, whatever came."""
        record = _Record(question, partial(self._write, question, scope))
        try:
            yield record
        except BaseException as problem:
            record.write(problem)
            raise

    def _write(
        self, question: str, scope: Scope, outcome: Answer | BaseException, read: Sequence[Hit] = ()
    ) -> None:
        if self._audit:
            model = getattr(self._generator, "name", None) or type(self._generator).__name__
            self._audit.record(
                question, scope, outcome, caller=self._caller, model=model, read=read
            )

    def check(self, question: str, scope: Scope) -> None:
        """Whether it may be asked: before anything is searched, or sent to a generator.

        Raises:
            ScopeRequired: That is no scope.
            BadArgument: The question has no words.
            NotAllowed: The caller may not read the scope.
        """
        if not isinstance(scope, Scope):
            raise ScopeRequired(HOW)
        check_words(question, "question")
        with self._recorded(question, scope):
            if self._allow and not self._allow(self._caller, scope):
                raise NotAllowed("the caller may not read the notes of this scope")

    def _prepared(self, question: str, scope: Scope, narrow: dict[str, Any]) -> "_Work":
        started, settings = perf_counter(), self._settings

        def find(queries: list[str], k: int) -> list[list[Hit]]:
            return self._search(queries, scope=scope, k=k, **narrow)

        found = retrieve(
            question,
            find,
            entities=settings.entities,
            most=settings.passages,
            by_time=settings.by_time,
        )
        seconds = perf_counter() - started
        policy = settings.unsupported
        count = settings.count or counter(self._generator, found.hits, settings.budget)
        asked = None
        if found.hits:
            asked = Asked.of(
                question, found.hits, policy, settings.budget, count, marked=settings.marked
            )
        return _Work(question, found, asked, settings.notice, seconds)


@dataclass(slots=True)
class _Work:
    """One question, under way."""

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
class _Record:
    """A question's line in the audit: written once, with what was read by then."""

    question: str = field(repr=False)
    to_audit: Callable[..., None] = field(repr=False)
    work: _Work | None = None
    failure: GeneratorError | None = None
    written: bool = False

    def done(self) -> Answer:
        """The answer, recorded before anybody sees the whole of it.

        Raises:
            GeneratorError: There is none.
        """
        if self.work is None:
            raise self.failure or GeneratorError("the question was not asked")
        answer = self.work.answer()
        self.write(answer)
        return answer

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


def _replies(generator: Generator, works: Sequence[_Work]) -> Sequence[Reply | GeneratorError]:
    """Several at a time, where the generator can."""
    requests = [work.asked.request for work in works if work.asked]
    started = perf_counter()
    many = getattr(generator, "generate_many", None)
    replies: Sequence[Reply | GeneratorError] = (
        many(requests) if many else [_one(generator, request) for request in requests]
    )
    for work in works:
        work.generating = perf_counter() - started
    return replies


def _one(generator: Generator, request: GenerationRequest) -> Reply | GeneratorError:
    try:
        return Reply(generator.generate(request))
    except GeneratorError as problem:
        return problem


async def _awaited(generator: Generator, request: GenerationRequest) -> Reply:
    if isinstance(generator, StreamingGenerator):
        return await generator.agenerate(request)
    return Reply(await to_thread.run_sync(generator.generate, request))


async def _streamed(
    generator: StreamingGenerator, work: _Work
) -> AsyncGenerator[AnswerSentence, None]:
    """The sentences as they come; the whole reply is the work's in the end."""
    if work.asked is None:
        return
    started, text, growing = perf_counter(), "", Growing()
    finish, tokens = None, None
    async with aclosing(generator.astream(work.asked.request)) as pieces:  # left early, it ends
        async for piece in pieces:
            text += piece.text
            for claim in growing.add(piece.text):
                if sentence := work.asked.sentence(claim):
                    work.shown += 1
                    yield sentence
            finish, tokens = piece.finish or finish, piece.tokens or tokens
    work.reply = Reply(text, finish, tokens)
    work.generating = perf_counter() - started
