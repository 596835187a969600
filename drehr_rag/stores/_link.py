"""The wire to a Qdrant server: keys, certificates, retries, and errors that name no note."""

import json
import os
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import grpc
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from drehr_rag._retry import pause
from drehr_rag._urls import checked_url
from drehr_rag.errors import BadArgument, StoreError, StoreMissing
from drehr_rag.stores._options import Access

COLLECTION = "drehr-rag"
"""Where a URL names no collection."""

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
"""Answers after which the same request may succeed."""

_HARMLESS = {"create_collection", "create_payload_index", "update_collection_aliases"}
"""Requests that hold no note."""

_CODES = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.ABORTED: 503,
}
"""gRPC's codes as the HTTP answers that mean the same."""


_FAULTS = (ApiException, QdrantException, grpc.RpcError, OSError, ValueError, AssertionError)
"""What the client raises; ValueError is how its `:memory:` mode says that something is missing,
AssertionError how it says that an answer lacks its result."""


class Link:
    """A client of one server, whose every request goes through `call`.

    Args:
        client: A connected client.
        access: How it is talked to.
        base: `http://host:6333`.
        key: The API key.
        verify: Certificates to trust, as httpx takes them.
    """

    def __init__(
        self,
        client: QdrantClient,
        access: Access,
        *,
        base: str = "",
        key: str | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """Nothing is sent."""
        self.client = client
        self.access = access
        self.base = base
        self.key = key
        self.verify = verify
        self._found = False

    def call(self, method: Any, *args: Any, once: bool = False, **kwargs: Any) -> Any:
        """Send a request, again after 429, 5xx and broken connections.

        Points, indexes and collections are named by us, so these requests can be sent twice. Until
        the server has answered once, be it that it is busy, nothing is repeated: waiting for one
        that is not there helps nobody.

        Args:
            method: Of the client.
            args: For it.
            once: Whether a second try would do the work twice.
            kwargs: For it.

        Raises:
            StoreMissing: The server does not have what is asked for.
            StoreError: It refuses the key, answers with an error, or not at all.
        """
        tries = 0
        while True:
            try:
                answer = method(*args, **kwargs)
            except _FAULTS as problem:
                code, what, asked = _told(problem)
                if code == 404:
                    self._found = True
                    raise StoreMissing(f"the Qdrant server {self.base} {what}") from None
                tries += 1
                self._found |= isinstance(problem, UnexpectedResponse | QdrantException)
                again = code in _AGAIN and self._found and not once
                if not again or tries > self.access.retries:
                    said = self._said(method.__name__, code, what, tries)
                    raise StoreError(said + _reason(problem, method.__name__)) from None
                sleep(pause(tries - 1, asked))
            else:
                self._found = True
                return answer

    def _said(self, request: str, code: int, what: str, tries: int) -> str:
        if code == 401:
            return f"the Qdrant server {self.base} refuses the key: set QDRANT_API_KEY"
        if code == 403:
            return f"the Qdrant server {self.base} does not allow {request} with this key"
        times = f", {tries} times" if tries > 1 else ""
        return f"the Qdrant server {self.base} {what} to {request}{times}"


def connect(location: str, access: Access) -> tuple[Link, str]:
    """A link to the server of a location, and the collection that it names; nothing is sent.

    Args:
        location: `http://host:6333` or `http://host:6333/collection`.
        access: How it is talked to.

    Raises:
        BadArgument: It is no such address, or the key would travel in the clear.
    """
    key = access.api_key.get_secret_value() if access.api_key else os.environ.get("QDRANT_API_KEY")
    url = urlsplit(checked_url(location, what="the Qdrant server", key=bool(key)))
    collection = url.path.strip("/") or COLLECTION
    if url.query or "/" in collection:
        raise BadArgument(
            "a store on a server is http(s)://HOST:6333/COLLECTION, nothing behind it"
        )
    base = f"{url.scheme}://{url.netloc}"
    verify = _trusted(access)
    with _no_warning_of_keys():
        client = QdrantClient(
            url=base,
            api_key=key or None,
            timeout=access.timeout,
            prefer_grpc=access.grpc,
            grpc_port=access.grpc_port,
            check_compatibility=False,
            verify=verify,
        )
    return Link(client, access, base=base, key=key or None, verify=verify), collection


def _trusted(access: Access) -> ssl.SSLContext | bool:
    if access.ca_file is None:
        return True
    if access.grpc:
        raise BadArgument(
            "ca_file is for REST; for gRPC set GRPC_DEFAULT_SSL_ROOTS_FILE_PATH in the environment"
        )
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(access.ca_file)
    except (OSError, ssl.SSLError) as problem:
        what = problem.strerror or "no certificate in PEM form"
        raise BadArgument(f"ca_file {access.ca_file} cannot be read: {what}") from None
    return context


@contextmanager
def _no_warning_of_keys() -> Iterator[None]:
    """The client warns of a key on plain http; elsewhere than on this machine we refuse that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        yield


def _told(problem: Exception) -> tuple[int, str, float | None]:
    """An answer's number, what happened in words (never what was sent), the wait asked for."""
    if isinstance(problem, UnexpectedResponse):
        code = int(problem.status_code or 500)
        return code, f"answered {code} {problem.reason_phrase}", None
    if isinstance(problem, QdrantException):  # without seconds where a proxy asks for a date
        return 429, "answered 429", getattr(problem, "retry_after_s", None)
    if isinstance(problem, grpc.RpcError):
        status = problem.code()
        return _CODES.get(status, 400), f"answered {status.name}", None
    if isinstance(problem, json.JSONDecodeError | AssertionError):
        return 503, "sent something that is no answer of Qdrant's", None
    if isinstance(problem, ValueError):
        missing = "not found" in str(problem)
        return (404 if missing else 400), "has no such collection" if missing else "refuses", None
    return 503, f"does not answer ({type(problem.__cause__ or _source(problem)).__name__})", None


def _reason(problem: Exception, request: str) -> str:
    """The server's own words, where they cannot repeat a note: of strict mode, of collections."""
    if isinstance(problem, grpc.RpcError):
        said = str(problem.details())
    else:
        try:
            said = str(json.loads(getattr(problem, "content", b""))["status"]["error"])
        except (ValueError, KeyError, TypeError):
            return ""
    return f": {said[:300]}" if request in _HARMLESS or ". Help: " in said else ""


def _source(problem: Exception) -> Exception:
    source: Exception = getattr(problem, "source", problem)
    return source
