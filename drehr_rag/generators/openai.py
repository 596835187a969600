"""Any server that speaks OpenAI's chat completions: vLLM's, first of all."""

from typing import Any

import httpx

from drehr_rag.errors import GeneratorError, ReplyUnusable
from drehr_rag.generators._server import address_and_headers, only_model
from drehr_rag.protocols import GenerationRequest

TIMEOUT = 120.0
"""Seconds for a whole reply."""

MAX_TOKENS = 1024
"""Length of a reply: five sentences of the answer's schema with their quotes, in usual tokens."""


def load(
    *,
    url: str,
    model: str | None = None,
    api_key: str | None = None,
    max_tokens: int = MAX_TOKENS,
) -> "OpenAIGenerator":
    """A generator at `url`, e.g. `http://localhost:8000/v1`."""
    return OpenAIGenerator(url, model=model, api_key=api_key, max_tokens=max_tokens)


class OpenAIGenerator:
    """Sends the prompt and the JSON schema, returns the reply's text.

    Args:
        url: Base address, with or without `/v1`.
        model: Its name on the server; by default the only one that is served.
        api_key: By default from the environment variable OPENAI_API_KEY.
        max_tokens: Longest reply.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """Nothing is sent yet.

        Raises:
            BadArgument: The address is none, or the key would travel in the clear.
        """
        self._url, self._headers = address_and_headers(url, api_key)
        self._model = model
        self._max_tokens = max_tokens
        self.tokens: dict[str, int] | None = None
        """Tokens of the last prompt and reply, as the server counted; None if it did not say."""

    @property
    def model(self) -> str:
        """The model's name on the server, asked for if none was given.

        Raises:
            GeneratorError: The server does not answer, or serves several.
        """
        return self._model or self._only_model()

    def generate(self, request: GenerationRequest) -> str:
        """The reply's text.

        Raises:
            ReplyUnusable: The reply is cut at `max_tokens`, or holds no text.
            GeneratorError: The server does not answer, refuses, or sends something else.
        """
        self.tokens = None
        schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        reply = self._send(
            "POST",
            "chat/completions",
            {
                "model": self.model,
                "messages": [{"role": "user", "content": request.prompt}],
                "temperature": 0.0,
                "seed": 0,
                "max_tokens": self._max_tokens,
                "response_format": {"type": "json_schema", "json_schema": schema},
            },
        )
        self.tokens = _counted(reply)
        try:
            choice = reply["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise ReplyUnusable(f"{self._url} sent a reply without text") from None
        if choice.get("finish_reason") == "length":
            raise ReplyUnusable(
                f"{self._url} cut its reply at {self._max_tokens} tokens: raise max_tokens"
            )
        if not isinstance(text, str):
            raise ReplyUnusable(f"{self._url} sent a reply without text")
        return text

    def _only_model(self) -> str:
        self._model = only_model(self._send("GET", "models", None), self._url)
        return self._model

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        address = f"{self._url}/{path}"
        try:
            answer = httpx.request(
                method, address, json=body, headers=self._headers, timeout=TIMEOUT
            )
            answer.raise_for_status()
            return answer.json()
        except httpx.HTTPStatusError as problem:
            what = f"answered {problem.response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            what = f"does not answer ({type(problem).__name__})"
        except (ValueError, RecursionError):
            what = "sent something that is not JSON"
        raise GeneratorError(f"the generator at {address} {what}")  # never the body: it has notes


def _counted(reply: Any) -> dict[str, int] | None:
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return None
    counts = {name: usage.get(f"{name}_tokens") for name in ("prompt", "completion")}
    whole = {name: n for name, n in counts.items() if isinstance(n, int) and n >= 0}
    return whole if len(whole) == len(counts) else None
