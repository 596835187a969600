"""JSON to and from a model's server: waits that end, tries again, and errors without the texts."""

from collections.abc import Mapping
from concurrent.futures import Future
from threading import Thread
from time import sleep
from typing import Any

import httpx

from drehr_rag._retry import pause
from drehr_rag._urls import checked_url
from drehr_rag.errors import BadArgument, DrehrError

_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class ModelServer:
    """One server that computes with a model, by its base address.

    Args:
        url: Base address, with or without `/v1`.
        what: Whose it is, for messages ("the embedding server").
        key: Sent with each request, if there is one.
        key_name: The environment variable that it is taken from, for messages.
        error: What is raised when the server fails.
        timeout: Seconds a request may take, from the first byte sent to the last one received.
        retries: Further tries of a request that failed.

    Attributes:
        url: Base address with `/v1`.
        retries: May be changed: while a server is looked for, waiting helps nobody.

    Raises:
        BadArgument: The address or the key cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        what: str,
        key: str | None,
        key_name: str,
        error: type[DrehrError],
        timeout: float,
        retries: int,
    ) -> None:
        """Nothing is sent."""
        base = checked_url(url, what=what, key=bool(key))
        self.url = base if base.endswith("/v1") else f"{base}/v1"
        if key and not (key.isascii() and key.isprintable()):
            raise BadArgument(f"the key of {what} holds what no header can carry")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.retries = retries
        self._client = httpx.Client(headers=headers, timeout=timeout)
        self._timeout = timeout
        self._what, self._key_name, self._error = what, key_name, error

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        or_if_missing: Any = None,
    ) -> Any:
        """The reply's JSON, or what is given instead where the server has no such path.

        Raises:
            DrehrError: Of the kind given: no reply in time, however often it was asked for, or
                one that cannot be used.
        """
        address = f"{self.url}/{path}"
        for attempt in range(self.retries + 1):
            asked = None
            try:
                answer = self._in_time(method, address, body)
                if answer.status_code == httpx.codes.NOT_FOUND and or_if_missing is not None:
                    return or_if_missing
                if answer.status_code not in _AGAIN:
                    return self._content(answer, address)
                what = f"answered {answer.status_code}"
                asked = _asked_for(answer)
            except (httpx.TimeoutException, TimeoutError):
                what = f"does not answer within {self._timeout:g} s"
            except (httpx.RequestError, httpx.InvalidURL) as problem:
                what = f"does not answer ({type(problem).__name__})"
            if attempt < self.retries:
                sleep(pause(attempt, asked))
        tries = f", {self.retries + 1} times" if self.retries else ""
        raise self._error(f"{self._what} at {address} {what}{tries}")

    def _in_time(self, method: str, address: str, body: Mapping[str, Any] | None) -> httpx.Response:
        """The answer, if it is whole in time.

        httpx bounds each read alone, so a server that sends a byte now and then is never too late;
        the thread that listens to one is left behind, and keeps no process from ending.
        """
        answer: Future[httpx.Response] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._client.request(method, address, json=body))
            except BaseException as problem:
                answer.set_exception(problem)

        Thread(target=ask, daemon=True).start()
        return answer.result(self._timeout)

    def _content(self, answer: httpx.Response, address: str) -> Any:
        """The reply's JSON; of an error only its number: its text may repeat the notes."""
        if answer.status_code in (401, 403):
            raise self._error(f"{address} refuses the key: set {self._key_name}")
        if answer.status_code != 200:
            raise self._error(f"{self._what} at {address} answered {answer.status_code}")
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise self._error(f"{address} sent something that is not JSON") from None


def _asked_for(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        return None
