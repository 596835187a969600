"""Question to answer: may it be asked, what is read, what is said, what of it the notes support."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from functools import partial
from typing import Any

from anyio import to_thread

from drehr_rag._arguments import HOW, check_list, check_words, needs_scope
from drehr_rag.errors import BadArgument, GeneratorError, NotAllowed, ScopeRequired
from drehr_rag.generators._background import Background
from drehr_rag.protocols import Generator, StreamingGenerator
from drehr_rag.qa.audit import AuditLog
from drehr_rag.qa.many import CONCURRENCY, TOGETHER, all_awaited, in_turn, windows
from drehr_rag.qa.preparing import Preparing
from drehr_rag.qa.replying import OwnLoop, awaited, replies, streamed
from drehr_rag.qa.settings import Settings
from drehr_rag.qa.under_way import Failure, Record
from drehr_rag.types import Answer, AnswerSentence, Hit, Scope

SearchBatch = Callable[..., list[list[Hit]]]
"""As `EhrIndex.search_batch`: queries; `scope`, `k` and what narrows the search as keywords."""

Allow = Callable[[str | None, Scope], bool]
"""Who asks, and for whose notes: whether that may be answered."""


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
        self._background = Background()

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
            replies(self._generator, [self._preparing(narrow).one(record)])
            return record.done()

    @needs_scope
    async def aask(self, question: str, *, scope: Scope, **narrow: Any) -> Answer:
        """As `ask`, without blocking the event loop; cancelling it ends the request."""
        await to_thread.run_sync(self.check, question, scope)
        with self._recorded(question, scope) as record:
            work = await to_thread.run_sync(self._preparing(narrow).one, record)
            await awaited(self._generator, work)
            return await to_thread.run_sync(record.done)

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
        await to_thread.run_sync(self.check, question, scope)
        with self._recorded(question, scope) as record:
            work = await to_thread.run_sync(self._preparing(narrow).one, record)
            async with aclosing(streamed(self._generator, work)) as sentences:
                async for sentence in sentences:
                    yield sentence
            answer = await to_thread.run_sync(record.done)
            for sentence in answer.sentences[work.shown :]:
                yield sentence
            yield answer

    @needs_scope
    def stream(
        self, question: str, *, scope: Scope, **narrow: Any
    ) -> Iterator[AnswerSentence | Answer]:
        """As `astream`, for a plain loop; leaving it ends the request where it is closed."""
        run = self._own_loop() or self._background.call
        parts, turn = self.astream(question, scope=scope, **narrow), asyncio.Lock()

        async def step(more: Callable[[], Awaitable[Any]]) -> Any:
            async with turn:  # one that was interrupted must have ended before it is closed
                return await more()

        try:
            while True:
                yield run(step, parts.__anext__)
        except StopAsyncIteration:
            return
        finally:
            run(step, parts.aclose)

    @needs_scope
    def ask_many(
        self, questions: Sequence[str], *, scope: Scope | Sequence[Scope], **narrow: Any
    ) -> list[Answer | Failure]:
        """Answers to many questions, in their order; see `ask`.

        Questions are prepared together, the next while others wait for their replies, and a
        generator that can is asked several at a time. Where it failed, or the encoder cannot read
        a question whole, the error stands in the answer's place.

        Args:
            questions: In plain words.
            scope: Whose notes: one for all, or one for each question.
            narrow: As in `ask`.
        """
        with self._all_recorded(self._checked(questions, scope)) as records:
            if run := self._own_loop():
                run(self._awaited, records, narrow)
            else:
                in_turn(records, self._preparing(narrow).some, self._settled)
            return _outcomes(records)

    @needs_scope
    async def aask_many(
        self, questions: Sequence[str], *, scope: Scope | Sequence[Scope], **narrow: Any
    ) -> list[Answer | Failure]:
        """As `ask_many`, without blocking the event loop; cancelling it ends the requests."""
        checked = await to_thread.run_sync(self._checked, questions, scope)
        with self._all_recorded(checked) as records:
            if isinstance(self._generator, StreamingGenerator):
                await self._awaited(records, narrow)
                return _outcomes(records)
            for some in windows(records, TOGETHER):  # between two of them it can be cancelled
                await to_thread.run_sync(self._preparing(narrow).some, some)
                await to_thread.run_sync(self._settled, some)
            return _outcomes(records)

    async def _awaited(self, records: Sequence[Record], narrow: dict[str, Any]) -> None:
        """Each record gets its outcome in this event loop."""

        async def ask(record: Record) -> None:
            try:
                if record.work:
                    await awaited(self._generator, record.work)
            except GeneratorError as problem:
                record.outcome = problem
            await to_thread.run_sync(record.settle)

        concurrency = getattr(self._generator, "concurrency", CONCURRENCY)
        await all_awaited(records, self._preparing(narrow).some, ask, concurrency=concurrency)

    def _settled(self, records: Sequence[Record]) -> None:
        """Each of these gets its outcome in this thread."""
        replies(self._generator, [record.work for record in records if record.work])
        for record in records:
            record.settle()

    def _own_loop(self) -> Callable[..., Any] | None:
        return self._generator.run if isinstance(self._generator, OwnLoop) else None

    def _preparing(self, narrow: dict[str, Any]) -> Preparing:
        def search(queries: list[str], scope: Scope, k: int) -> list[list[Hit]]:
            return self._search(queries, scope=scope, k=k, **narrow)

        return Preparing(search, self._generator, self._settings)

    def _checked(
        self, questions: Sequence[str], scope: Scope | Sequence[Scope]
    ) -> list[tuple[str, Scope]]:
        """Each question with its scope; none is refused."""
        check_list(questions, "questions")
        asked = list(zip(questions, _scopes(scope, len(questions)), strict=True))
        for question, whose in asked:
            self.check(question, whose)
        return asked

    @contextmanager
    def _all_recorded(self, asked: Sequence[tuple[str, Scope]]) -> Iterator[list[Record]]:
        with ExitStack() as stack:
            yield [stack.enter_context(self._recorded(*each)) for each in asked]

    @contextmanager
    def _recorded(self, question: str, scope: Scope) -> Iterator[Record]:
        """What came of the question goes into the audit, whatever came."""
        record = Record(question, scope, partial(self._write, question, scope))
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


def _outcomes(records: Sequence[Record]) -> list[Answer | Failure]:
    return [record.outcome for record in records if record.outcome is not None]


def _scopes(scope: Scope | Sequence[Scope], questions: int) -> Sequence[Scope]:
    if isinstance(scope, Scope):
        return [scope] * questions
    if not isinstance(scope, Sequence) or not all(isinstance(one, Scope) for one in scope):
        raise ScopeRequired(HOW)
    if len(scope) != questions:
        raise BadArgument(f"{questions} questions need one scope or {questions}, not {len(scope)}")
    return scope
