"""Any server that speaks OpenAI's chat completions: vLLM's, first of all."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from hashlib import sha256
from typing import ParamSpec, TypeVar

from anyio import to_thread

from drehr_rag._arguments import number, whole
from drehr_rag.errors import GeneratorError, ReplyUnusable
from drehr_rag.generators._background import Background
from drehr_rag.generators._chat_client import (
    CONCURRENCY,
    MAX_TOKENS,
    RETRIES,
    TIMEOUT,
    ChatClient,
    Messages,
    Options,
)
from drehr_rag.protocols import GenerationRequest, Piece, Reply

P = ParamSpec("P")
T = TypeVar("T")

COUNTED = 4096
"""Texts whose tokens are remembered: passages come again from one question to the next."""


class OpenAIGenerator:
    """Sends the prompt and the JSON schema, returns the reply's text.

    `generate` and `generate_many` may be called from any thread, inside a running event loop too;
    `agenerate` and `astream` work in the caller's own loop. `close`, `aclose` and the two `with`
    statements close the connections; a later call opens new ones.

    Args:
        url: Base address, with or without `/v1`.
        model: Its name on the server; by default the only one that is served.
        api_key: By default from the environment variable OPENAI_API_KEY.
        max_tokens: Longest reply; by default enough for five sentences with their quotes.
        timeout: Seconds for a whole reply; a further try has as many again.
        retries: Further tries of a request that may pass.
        concurrency: Requests in flight.
        temperature: Of the sampling.
        seed: Of the sampling; None: the server's own.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        max_tokens: int = MAX_TOKENS,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        concurrency: int = CONCURRENCY,
        temperature: float = 0.0,
        seed: int | None = 0,
    ) -> None:
        """Nothing is sent yet.

        Raises:
            BadArgument: The address is none, the key would travel in the clear, or a number is
                none.
        """
        whole(max_tokens, "max_tokens", 1)
        number(temperature, "temperature", 0)
        self._client = ChatClient(
            url,
            model=model,
            api_key=api_key,
            what="the generator",
            timeout=timeout,
            retries=retries,
            concurrency=concurrency,
        )
        self._options = Options(temperature=temperature, seed=seed, max_tokens=max_tokens)
        self._background = Background(self._client.aclose)
        self.concurrency = concurrency
        self._counted: dict[bytes, int] = {}
        self._counts = True
        self.tokens: dict[str, int] | None = None
        """Of the last `generate`, as the server counted; None if it did not say. Several threads
        look at each `Reply` instead."""

    @property
    def model(self) -> str:
        """The model's name on the server, asked for if none was given.

        Raises:
            GeneratorError: The server does not answer, or serves several.
        """
        return self._client.model or self._background.call(self._client.model_name)

    @property
    def name(self) -> str:
        """The model's name as far as it is known, else the address; nobody is asked."""
        return self._client.model or self._client.url

    def generate(self, request: GenerationRequest) -> str:
        """The reply's text.

        Raises:
            ReplyUnusable: The reply is cut at `max_tokens`, or holds no text.
            GeneratorError: The server does not answer, refuses, or sends something else.
        """
        self.tokens = None
        reply = self._background.call(self._asked, request)
        self.tokens = reply.tokens._asdict() if reply.tokens else None
        return self._uncut(reply).text

    def generate_many(self, requests: Sequence[GenerationRequest]) -> list[Reply | GeneratorError]:
        """The reply to each request, in their order, or why there is none; several at a time."""
        return self._background.call(self._all, requests)

    def complete(self, prompt: str, *, max_tokens: int | None = None) -> Reply:
        """How the model goes on from the prompt, which is sent without a chat's marks.

        That it was cut is no error here: the reply's `finish` is then "length".

        Raises:
            GeneratorError: As of `generate`.
        """
        options = (
            self._options if max_tokens is None else {**self._options, "max_tokens": max_tokens}
        )
        return self._background.call(self._client.complete, prompt, **options)

    async def agenerate(self, request: GenerationRequest) -> Reply:
        """As `generate`, in the caller's event loop; cancelling it ends the request.

        Raises:
            ReplyUnusable: As of `generate`.
            GeneratorError: As of `generate`.
        """
        return self._uncut(await self._asked(request))

    def astream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        """The reply as it is written; a last piece without text says why it ended.

        That it was cut is no error here. Leaving the iterator ends the request.

        Raises:
            GeneratorError: As of `generate`; or the reply breaks off or stalls.
        """
        return self._client.stream(_messages(request), **self._options_of(request))

    def count(self, text: str) -> int | None:
        """Tokens of a text, by the server's tokenizer, if it has vLLM's `/tokenize`.

        A server that once did not say is not asked again.
        """
        key = sha256(text.encode(errors="replace")).digest()  # the text itself is not kept
        if key not in self._counted and self._counts:
            try:
                number = self._background.call(self._client.count, text)
            except GeneratorError:
                self._counts = False
                return None
            if len(self._counted) >= COUNTED:
                self._counted.clear()
            self._counted[key] = number
        return self._counted.get(key)

    def run(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What asynchronous work returns, done where `generate` has its connections.

        If waiting for it is interrupted, it is cancelled.
        """
        return self._background.call(work, *args, **kwargs)

    def close(self) -> None:
        """End what `generate` has under way, and its connections and thread."""
        self._background.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._client.aclose()

    def __enter__(self) -> "OpenAIGenerator":
        """Nothing is sent yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    async def __aenter__(self) -> "OpenAIGenerator":
        """Nothing is sent yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections, those of `generate` too."""
        await self.aclose()
        await to_thread.run_sync(self.close)

    async def _asked(self, request: GenerationRequest) -> Reply:
        return await self._client.chat(_messages(request), **self._options_of(request))

    def _options_of(self, request: GenerationRequest) -> Options:
        return {**self._options, "schema": request.schema}

    async def _all(self, requests: Sequence[GenerationRequest]) -> list[Reply | GeneratorError]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._outcome(request)) for request in requests]
        return [task.result() for task in tasks]

    async def _outcome(self, request: GenerationRequest) -> Reply | GeneratorError:
        try:
            return await self.agenerate(request)
        except GeneratorError as problem:
            return problem

    def _uncut(self, reply: Reply) -> Reply:
        if reply.finish == "length":
            raise ReplyUnusable(
                f"{self._client.url} cut its reply at {self._options['max_tokens']} tokens: "
                "raise max_tokens"
            )
        return reply


def _messages(request: GenerationRequest) -> Messages:
    return [{"role": "user", "content": request.prompt}]


load = OpenAIGenerator
"""By its name: the options are the class's."""
