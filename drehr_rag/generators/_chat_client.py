"""A client of OpenAI-compatible language-model servers, vLLM's first of all."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any, TypedDict, Unpack

from drehr_rag._arguments import number, whole
from drehr_rag._retry import pause
from drehr_rag.errors import GeneratorTimeout, GeneratorUnavailable, ReplyUnusable
from drehr_rag.generators._per_loop import PerLoop
from drehr_rag.generators._replies import reply_of
from drehr_rag.generators._server import address_and_headers
from drehr_rag.generators._wire import Wire
from drehr_rag.protocols import Piece, Reply

TIMEOUT = 120.0
"""Seconds for a whole reply."""

CONNECT_TIMEOUT = 10.0
"""Seconds to be connected: a server that is there answers in a fraction of one."""

STALL = 30.0
"""Seconds from one piece of a streamed reply to the next."""

COUNTING = 5.0
"""Seconds for the number of a text's tokens: it is only for a budget, which can be estimated."""

RETRIES = 2
"""Further tries after 408, 425, 429, 5xx, silence or a broken connection (`drehr_rag._retry`)."""

CONCURRENCY = 32
"""Requests in flight: vLLM computes many at once."""

MAX_TOKENS = 1024
"""Of a reply."""

Messages = Sequence[Mapping[str, Any]]


class Options(TypedDict, total=False):
    """How a reply is asked for.

    Attributes:
        schema: JSON schema that the reply must fit.
        temperature: Of the sampling; by default 0.
        seed: Of the sampling; by default 0. None: the server's own.
        max_tokens: Longest reply.
        extra: Further fields of the request, e.g. `{"top_p": 0.9}`.
    """

    schema: Mapping[str, Any] | None
    temperature: float
    seed: int | None
    max_tokens: int
    extra: Mapping[str, Any] | None


class ChatClient:
    """Asks, patiently and not too much at once; close it, or use it in `async with`.

    It may be used in several event loops; each has its own connections, which `aclose` closes
    inside it, and its own bound on the requests in flight.

    Args:
        url: Base address, with or without `/v1`.
        model: Its name on the server; by default the only one that is served.
        api_key: By default from the environment variable OPENAI_API_KEY.
        what: Whose server it is, for messages.
        timeout: Seconds for a whole reply; a further try has as many again.
        connect_timeout: Seconds to be connected.
        stall: Seconds from one piece of a streamed reply to the next.
        retries: Further tries of a request that may pass.
        concurrency: Requests in flight.

    Raises:
        BadArgument: The address is none, the key would travel in the clear, or a number is none.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        what: str = "the language model",
        timeout: float = TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        stall: float = STALL,
        retries: int = RETRIES,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Nothing is sent yet."""
        self.url, headers = address_and_headers(url, api_key, what=what)
        self.model = model
        waits = {"timeout": timeout, "connect_timeout": connect_timeout, "stall": stall}
        for name, seconds in waits.items():
            number(seconds, name, 0.001)
        whole(retries, "retries", 0)
        whole(concurrency, "concurrency", 1)
        self._what, self._retries = what, retries
        self._wires = PerLoop(
            lambda: Wire(
                self.url,
                headers,
                what=what,
                timeout=timeout,
                connect_timeout=connect_timeout,
                stall=stall,
                concurrency=concurrency,
            )
        )

    async def __aenter__(self) -> "ChatClient":
        """Nothing is sent yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close this event loop's connections; the next request opens new ones."""
        if wire := self._wires.taken():
            await wire.aclose()

    async def model_name(self) -> str:
        """The model's name on the server, asked for once and without patience.

        Raises:
            GeneratorError: The server does not answer, or serves several.
        """
        self.model = self.model or await self._wires.here().only_model()
        return self.model

    async def chat(self, messages: Messages, **options: Unpack[Options]) -> Reply:
        """The reply to a conversation.

        Raises:
            GeneratorError: There is none; see `drehr_rag.errors` for the kinds.
        """
        return await self._reply("chat/completions", {"messages": messages}, options)

    async def complete(self, prompt: str, **options: Unpack[Options]) -> Reply:
        """How the model goes on from the prompt, which is sent without a chat's marks.

        Raises:
            GeneratorError: As of `chat`.
        """
        return await self._reply("completions", {"prompt": prompt}, options)

    async def count(self, text: str) -> int:
        """Tokens of a text, by the server's tokenizer (vLLM's `/tokenize`); asked once, briefly.

        Raises:
            GeneratorError: It does not say.
        """
        path = "/tokenize"
        wire = self._wires.here()
        try:
            async with asyncio.timeout(COUNTING), wire.gate:
                asked = {"model": await self.model_name(), "prompt": text}
                said = await wire.asked(path, {**asked, "add_special_tokens": False})
        except TimeoutError:
            what = f"does not answer within {COUNTING:g} s"
            raise GeneratorTimeout(f"{wire.who(path)} {what}", what) from None
        number = said.get("count") if isinstance(said, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            what = "sent no number of tokens"
            raise ReplyUnusable(f"{wire.who(path)} {what}", what)
        return number

    async def stream(
        self, messages: Messages, **options: Unpack[Options]
    ) -> AsyncGenerator[Piece, None]:
        """The reply as it is written; the last piece has no text but says why it ended.

        Leaving the iterator ends the request, so that the server stops writing; where the moment
        matters, put `contextlib.aclosing` around it. Until then it counts among those in flight.

        Raises:
            GeneratorError: As of `chat`; or the reply breaks off or stalls, and then what has come
                is not asked for again.
        """
        body = await self._body({"messages": messages}, options)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        wire = self._wires.here()
        async with wire.gate:
            for attempt in count():
                begun = False
                try:
                    async with aclosing(wire.pieces("chat/completions", body)) as pieces:
                        async for piece in pieces:
                            begun = True
                            yield piece
                    return
                except GeneratorUnavailable as problem:
                    if begun:
                        raise
                    await self._pause(attempt, problem)

    async def _reply(self, path: str, asked: Mapping[str, Any], options: Options) -> Reply:
        body = await self._body(asked, options)
        wire = self._wires.here()
        async with wire.gate:
            content = await self._patiently(wire, path, body)
        reply = reply_of(content, body["model"], chat="messages" in asked)
        if reply is None:
            what = "sent a reply without text"
            raise ReplyUnusable(f"{wire.who(path)} {what}", what)
        return reply

    async def _patiently(self, wire: Wire, path: str, body: Mapping[str, Any]) -> Any:
        for attempt in count():
            try:
                return await wire.asked(path, body)
            except GeneratorUnavailable as problem:
                await self._pause(attempt, problem)

    async def _pause(self, attempt: int, problem: GeneratorUnavailable) -> None:
        """Wait before the next try; after the last one, raise."""
        if attempt == self._retries:
            raise problem
        await asyncio.sleep(pause(attempt, problem.retry_after))

    async def _body(self, asked: Mapping[str, Any], options: Options) -> dict[str, Any]:
        return {"model": await self.model_name(), **asked, **_fields(**options)}


def _fields(
    *,
    schema: Mapping[str, Any] | None = None,
    temperature: float = 0.0,
    seed: int | None = 0,
    max_tokens: int = MAX_TOKENS,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    fields: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    if seed is not None:
        fields["seed"] = seed
    if schema is not None:
        named = {"name": "answer", "strict": True, "schema": dict(schema)}
        fields["response_format"] = {"type": "json_schema", "json_schema": named}
    return fields | dict(extra or {})
