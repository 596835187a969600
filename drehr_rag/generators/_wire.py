"""Requests to a language model's server over httpx: JSON or a stream, or a typed error."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

import httpx

from drehr_rag.errors import GeneratorTimeout, GeneratorUnavailable
from drehr_rag.generators._patience import Patience
from drehr_rag.generators._refusals import refusal
from drehr_rag.generators._server import only_model
from drehr_rag.generators._stream import Garbled, pieces
from drehr_rag.protocols import Piece

IDLE = 3.0
"""Seconds a connection is kept for the next request: uvicorn, and so vLLM, closes it after 5."""

_BEGINNING = 65_536
"""Bytes that are read of a refusal."""


class Wire:
    """The connections to one server, in one event loop.

    Args:
        url: Base address, up to `/v1`.
        headers: Sent with each request.
        what: Whose server it is, for messages.
        timeout: Seconds for a whole reply.
        connect_timeout: Seconds to be connected.
        stall: Seconds from one piece of a reply to the next.
        concurrency: Connections at most.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        what: str,
        timeout: float,
        connect_timeout: float,
        stall: float,
        concurrency: int,
    ) -> None:
        """Nothing is sent yet."""
        self._url, self._what, self._waits = url, what, (timeout, stall)
        self._connect_timeout = connect_timeout
        self._naming: asyncio.Task[str] | None = None
        self.gate = asyncio.Semaphore(concurrency)
        self._http = httpx.AsyncClient(
            headers={**headers, "Content-Type": "application/json"},
            # Reading the authorities' certificates holds the event loop up for 60 ms or more.
            verify=httpx.URL(url).scheme != "http",
            timeout=httpx.Timeout(None, connect=connect_timeout),  # `Patience` bounds the rest
            limits=httpx.Limits(max_connections=concurrency, keepalive_expiry=IDLE),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._naming is not None:
            self._naming.cancel()
        await self._http.aclose()

    def who(self, path: str) -> str:
        """Which server, with the whole address, for messages."""
        return f"{self._what} at {self._address(path)}"

    def _address(self, path: str) -> str:
        """A path from `/` on is beside `/v1`, not under it."""
        return self._url.removesuffix("/v1") + path if path[0] == "/" else f"{self._url}/{path}"

    async def only_model(self) -> str:
        """The only model that is served; several who ask at once wait for one answer.

        Raises:
            GeneratorError: There is none, there are several, or the server does not answer.
        """
        if self._naming is None:
            self._naming = asyncio.create_task(self._only_model())
        return await asyncio.shield(self._naming)

    async def _only_model(self) -> str:
        try:
            async with self.gate:
                return only_model(await self.asked("models", None), self._url)
        finally:
            self._naming = None  # its error would hold whoever asked

    async def asked(self, path: str, body: Mapping[str, Any] | None) -> Any:
        """The answer's JSON.

        Raises:
            GeneratorError: There is none.
        """
        with self._faults(path):
            async with (
                Patience(*self._waits).waiting(),
                aclosing(await self._sent(path, body)) as answer,
            ):
                content = await answer.aread()
            return json.loads(content)

    async def pieces(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """The pieces of a streamed answer; the connection is closed when the iterator is.

        Raises:
            GeneratorError: There is no answer, or it breaks off.
        """
        patience = Patience(*self._waits)
        with self._faults(path):
            async with patience.waiting():
                answer = await self._sent(path, body)
        async with aclosing(answer), aclosing(pieces(answer.aiter_bytes())) as coming:
            while True:
                with self._faults(path):
                    async with patience.waiting():
                        piece = await anext(coming, None)
                if piece is None:
                    return
                patience.begun = True
                yield piece

    async def _sent(self, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        """The open answer, if its status is 200."""
        method, data = ("GET", None) if body is None else ("POST", _bytes(body))
        request = self._http.build_request(method, self._address(path), content=data)
        answer = await self._http.send(request, stream=True)
        if answer.status_code == 200:
            return answer
        async with aclosing(answer):
            said = await _beginning(answer)
        raise refusal(answer, said, self.who(path), body["model"] if body else None)

    @contextmanager
    def _faults(self, path: str) -> Iterator[None]:
        """What goes wrong inside, as an error of ours."""
        error: type[GeneratorUnavailable]
        try:
            yield
        except httpx.TimeoutException:
            error, what = GeneratorTimeout, f"is not reached within {self._connect_timeout:g} s"
        except TimeoutError as problem:
            error, what = GeneratorTimeout, str(problem)
        except (httpx.RequestError, httpx.InvalidURL) as problem:
            error, what = GeneratorUnavailable, f"does not answer ({type(problem).__name__})"
        except Garbled as problem:
            error, what = GeneratorUnavailable, str(problem)
        except (ValueError, RecursionError):
            error, what = GeneratorUnavailable, "sent something that is not JSON"
        else:
            return
        raise error(f"{self.who(path)} {what}", what) from None


def _bytes(body: Mapping[str, Any]) -> bytes:
    """As JSON; half of a surrogate pair in a note becomes a question mark."""
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")


async def _beginning(answer: httpx.Response) -> bytes:
    said = b""
    async for chunk in answer.aiter_bytes():
        said += chunk
        if len(said) > _BEGINNING:
            break
    return said
