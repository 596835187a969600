"""A language model behind an OpenAI-compatible server, asked many things at once.

It sends what `drehr_rag.generators.openai` sends; beyond that it waits for a server that is busy,
samples at a temperature, and gives back a reply that was cut, since half a list is still a list.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from drehr_rag._arguments import whole
from drehr_rag._retry import pause
from drehr_rag.errors import GeneratorError
from drehr_rag.generators._server import address_and_headers, only_model
from drehr_rag.training.chat_replies import Reply, Silence, reply_of

TEMPERATURE = 0.1
"""Of both stages' language models (PAPER.md §1)."""

MAX_TOKENS = 512
"""Of a reply (PAPER.md §1, stage 2)."""

TIMEOUT = 120.0
"""Seconds for a whole reply."""

RETRIES = 5
"""Further tries after 429, 5xx or a broken connection; see `drehr_rag._retry` for the pauses."""

CONCURRENCY = 32
"""Requests in flight: vLLM computes many at once."""

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NEVER = {
    401: "give the right key in OPENAI_API_KEY",
    403: "give a key in OPENAI_API_KEY that may use this model",
    404: "it has no such model or path: see --model and --llm-url",
}
"""What no prompt can get an answer to."""


class Chat:
    """Asks; use it in an `async with` statement.

    Args:
        url: Base address, with or without `/v1`.
        model: Its name on the server; by default the only one that is served.
        api_key: By default from the environment variable OPENAI_API_KEY.
        temperature: Of the sampling.
        max_tokens: Longest reply.
        concurrency: Requests in flight.
        retries: Further tries of a request that may pass.
        timeout: Seconds for a whole reply.

    Raises:
        BadArgument: The address is none, or the key would travel in the clear.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int = MAX_TOKENS,
        concurrency: int = CONCURRENCY,
        retries: int = RETRIES,
        timeout: float = TIMEOUT,
    ) -> None:
        """Nothing is sent yet."""
        self.url, headers = address_and_headers(url, api_key, what="the language model")
        self.model = model
        for number, what, least in (
            (max_tokens, "max_tokens", 1),
            (retries, "retries", 0),
            (concurrency, "concurrency", 1),
        ):
            whole(number, what, least)
        self.temperature, self.max_tokens = temperature, max_tokens
        self._retries, self._timeout = retries, timeout
        self._gate = asyncio.Semaphore(concurrency)
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=timeout,
            limits=httpx.Limits(max_connections=concurrency),
        )

    async def __aenter__(self) -> "Chat":
        """Find out the model's name, if none was given.

        Raises:
            GeneratorError: The server does not answer, or serves several.
        """
        try:
            self.model = self.model or await self._only_model()
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()

    def settings(self) -> dict[str, Any]:
        """What decides on the replies, for the manifest."""
        return {
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    async def ask(self, prompt: str, *, schema: Mapping[str, Any] | None = None) -> Reply | Silence:
        """The reply to one prompt, or why there is none.

        Args:
            prompt: Sent as one message of the user.
            schema: JSON schema that the reply must fit.

        Raises:
            GeneratorError: No prompt would have a reply: the key or the model's name is wrong.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": self.temperature,
            "seed": 0,
            "max_tokens": self.max_tokens,
        }
        if schema is not None:
            named = {"name": "reply", "strict": True, "schema": dict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        async with self._gate:
            content = await self._patiently("POST", "chat/completions", body)
        return content if isinstance(content, Silence) else reply_of(content)

    async def _only_model(self) -> str:
        content = await self._once("GET", "models", None)
        if isinstance(content, Silence):
            raise GeneratorError(f"the language model at {self.url} {content.reason}")
        return only_model(content, self.url)

    async def _patiently(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        for attempt in range(self._retries + 1):
            asked: list[float] = []
            content = await self._once(method, path, body, asked)
            if not (isinstance(content, Silence) and content.passing):
                break
            if attempt < self._retries:
                await asyncio.sleep(pause(attempt, *asked))
        return content

    async def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        asked: list[float] | None = None,
    ) -> Any:
        """The reply's JSON, or a `Silence`; what the server asks us to wait goes to `asked`."""
        try:
            async with asyncio.timeout(self._timeout):  # httpx bounds each read alone
                answer = await self._client.request(method, f"{self.url}/{path}", json=body)
        except (httpx.TimeoutException, TimeoutError):
            return Silence(f"does not answer within {self._timeout:g} s", True)
        except (httpx.RequestError, httpx.InvalidURL) as problem:
            return Silence(f"does not answer ({type(problem).__name__})", True)
        if remedy := _NEVER.get(answer.status_code):
            raise GeneratorError(
                f"the language model at {self.url} answered {answer.status_code}: {remedy}"
            )
        if answer.status_code != 200:
            if asked is not None and (seconds := _seconds(answer.headers.get("Retry-After", ""))):
                asked.append(seconds)
            return Silence(f"answered {answer.status_code}", answer.status_code in _AGAIN)
        try:
            return answer.json()
        except (ValueError, RecursionError):
            return Silence("sent something that is not JSON", True)


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None
