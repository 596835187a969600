"""The ways to ask a generator: several at a time, awaited, listened to while it writes."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

from anyio import to_thread

from drehr_rag.errors import GeneratorError
from drehr_rag.protocols import GenerationRequest, Generator, Reply, StreamingGenerator
from drehr_rag.qa.claims import Growing
from drehr_rag.qa.under_way import Work
from drehr_rag.types import AnswerSentence

P = ParamSpec("P")
T = TypeVar("T")


@runtime_checkable
class OwnLoop(StreamingGenerator, Protocol):
    """A generator with an event loop of its own, in which its connections stay open."""

    def run(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the work returns, done in that loop while the caller waits."""
        ...


def replies(generator: Generator, works: Sequence[Work]) -> None:
    """Each work gets its reply or its error; several at a time, where the generator can."""
    asked = [(work, work.asked.request) for work in works if work.asked]
    if not asked:
        return
    requests = [request for _, request in asked]
    started = perf_counter()
    many = getattr(generator, "generate_many", None)
    found: Sequence[Reply | GeneratorError] = (
        many(requests) if many else [_one(generator, request) for request in requests]
    )
    for (work, _), reply in zip(asked, found, strict=True):
        work.reply, work.generating = reply, perf_counter() - started


def _one(generator: Generator, request: GenerationRequest) -> Reply | GeneratorError:
    try:
        return Reply(generator.generate(request))
    except GeneratorError as problem:
        return problem


async def awaited(generator: Generator, work: Work) -> None:
    """The work gets its reply.

    Raises:
        GeneratorError: There is none.
    """
    if work.asked is None:
        return
    started = perf_counter()
    if isinstance(generator, StreamingGenerator):
        work.reply = await generator.agenerate(work.asked.request)
    else:
        work.reply = Reply(await to_thread.run_sync(generator.generate, work.asked.request))
    work.generating = perf_counter() - started


async def streamed(generator: Generator, work: Work) -> AsyncGenerator[AnswerSentence, None]:
    """The sentences as they come; the whole reply is the work's in the end.

    None, from a generator that cannot stream.
    """
    if work.asked is None or not isinstance(generator, StreamingGenerator):
        await awaited(generator, work)
        return
    started, text, growing = perf_counter(), "", Growing()
    finish, tokens = None, None
    async with aclosing(generator.astream(work.asked.request)) as pieces:  # left early, it ends
        async for piece in pieces:
            text += piece.text
            for claim in growing.add(piece.text):
                if sentence := await to_thread.run_sync(work.asked.sentence, claim):
                    work.shown += 1
                    yield sentence
            finish, tokens = piece.finish or finish, piece.tokens or tokens
    work.reply = Reply(text, finish, tokens)
    work.generating = perf_counter() - started
