"""A language model behind an OpenAI-compatible server, asked many things at once.

Beyond what the generators' client does, it gives back a reply that was cut, since half a list is
still a list, and takes a server's silence for an answer, since a build can go on from there.
"""

from collections.abc import Mapping
from typing import Any

from drehr_rag._arguments import number, whole
from drehr_rag.errors import GeneratorError, GeneratorUnavailable, KeyRefused, NoSuchModel
from drehr_rag.generators._chat_client import CONCURRENCY, TIMEOUT, ChatClient
from drehr_rag.training.chat_replies import Reply, Silence

__all__ = ["CONCURRENCY", "MAX_TOKENS", "TEMPERATURE", "Chat"]

TEMPERATURE = 0.1
"""Of both stages' language models (PAPER.md §1)."""

MAX_TOKENS = 512
"""Of a reply (PAPER.md §1, stage 2)."""

RETRIES = 5
"""Further tries: nobody waits at the screen, and each chunk that is lost is an example less."""


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
        BadArgument: The address is none, the key would travel in the clear, or a number is none.
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
        number(temperature, "temperature", 0)
        whole(max_tokens, "max_tokens", 1)
        self.temperature, self.max_tokens = temperature, max_tokens
        self._client = ChatClient(
            url,
            model=model,
            api_key=api_key,
            timeout=timeout,
            retries=retries,
            concurrency=concurrency,
        )
        self.url = self._client.url

    @property
    def model(self) -> str | None:
        """Its name on the server; None if it was neither given nor asked for yet."""
        return self._client.model

    async def __aenter__(self) -> "Chat":
        """Find out the model's name, if none was given.

        Raises:
            GeneratorError: The server does not answer, or serves several.
        """
        try:
            await self._client.model_name()
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
        try:
            reply = await self._client.chat(
                [{"role": "user", "content": prompt}],
                schema=schema,
                temperature=self.temperature,
                max_tokens=self.max_tokens,
            )
        except (KeyRefused, NoSuchModel):
            raise
        except GeneratorError as problem:
            return Silence(problem.reason, isinstance(problem, GeneratorUnavailable))
        return Reply(reply.text, reply.finish == "length")
