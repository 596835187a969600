"""A recorder on loopback that speaks Qdrant's REST protocol, checks every request, and can fail.

Each request is recorded, held against `qdrant_client`'s own models (`qdrant_calls`), carried out
(`qdrant_engine`: by `:memory:`, or emulated; its docstring says what is not Qdrant) and answered in
Qdrant's envelope. A request that does not fit is answered with 400 and fails the test when the
server closes. Faults (`qdrant_faults`) meet the requests they are told to meet.

    with Loopback() as server:
        server.inject(Status(429, retry_after=1), r"/points$", method="PUT", nth=2)
        store = open_store(f"{server.url}/notes", manifest={"dimension": 8})
        ...
        server.made("upsert_points")[0].query  # {"wait": True}

Not done: HTTP/2, compression, JWT keys, answers without `wait` (202).
"""

import hmac
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from qdrant_calls import BadRequest, Call, adapter, find
from qdrant_engine import Engine
from qdrant_faults import BODIES, Cut, Delay, Fault, Garbage, Half, Rule, Status
from qdrant_refusal import Refused, Unsupported

OPEN_PATHS = ("/", "/healthz", "/livez", "/readyz")
"""What a server tells without a key."""

MAX_BYTES = 32 * 2**20
"""Qdrant's `service.max_request_size_mb`, unless configured."""

READS = ("query", "count", "scroll", "facet", "get", "list", "search")
"""How the names of calls begin that a key for reading is good for, besides every GET."""


@dataclass
class Request:
    """A request as it came, and what became of it.

    Attributes:
        call: Its name in the client, such as `upsert_points`; empty if Qdrant has none such.
        method: The HTTP method.
        path: Without the query.
        query: Parsed and typed.
        body: Parsed JSON; None where there is none.
        model: The body as the client's own model.
        size: Bytes of the body.
        headers: Names in lower case.
        fault: What went wrong with it on purpose.
        status: Of the answer; 0 where there was none.
    """

    method: str
    path: str
    headers: dict[str, str]
    size: int
    call: str = ""
    query: dict[str, Any] | None = None
    body: Any = None
    model: Any = None
    fault: Fault | None = None
    status: int = 0


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def head(self) -> bytes:
        """The status line and the headers."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.kind}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode()


class Loopback:
    """A server on 127.0.0.1, at a port of its own.

    Args:
        api_key: What requests must bring in the header `api-key`; None asks for nothing.
        read_only_key: Good for reading; a write with it is answered 403.
        strict: Refuse filters over fields without a payload index.
        peers: Nodes of the cluster that it says it is one of.
        tls: A folder in which to make a certificate; None speaks plain HTTP.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        read_only_key: str | None = None,
        strict: bool = False,
        peers: int = 1,
        tls: Path | None = None,
    ) -> None:
        self.engine = Engine(strict=strict, peers=peers)
        self.api_key, self.read_only_key = api_key, read_only_key
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.most = 0  # requests in hand at a time; a test may set it back
        self._in_hand = 0
        self.certificate = make_certificate(tls) if tls else None
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.port = self._server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def inject(
        self,
        fault: Fault,
        path: str = "",
        *,
        method: str | None = None,
        nth: int = 1,
        times: int | None = 1,
    ) -> None:
        """Let the `nth` coming request that matches meet a fault.

        Args:
            fault: What goes wrong.
            path: A regular expression, searched for in the path.
            method: Only this HTTP method.
            nth: From 1.
            times: So many requests in a row; None for all from the nth on.
        """
        with self._lock:
            self._rules.append(Rule(fault, re.compile(path), method, nth, times))

    def forgive(self) -> None:
        """Let no fault meet a request any more."""
        with self._lock:
            self._rules.clear()

    def made(self, call: str) -> list[Request]:
        """The requests of one call, in the order they came."""
        with self._lock:
            return [request for request in self.requests if request.call == call]

    def take_violations(self) -> list[str]:
        """What did not fit, for a test that provokes it; forgets it."""
        with self._lock:
            taken, self.violations = self.violations, []
        return taken

    def close(self) -> None:
        """Stop, and fail if a request did not fit.

        Raises:
            AssertionError: With every violation.
        """
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        taken = self.take_violations()
        if taken:
            raise AssertionError("requests that are not Qdrant's:\n" + "\n".join(taken))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one request -------------------------------------------------------------------------

    def serve(self, request: Request, query: str, raw: bytes) -> tuple[Answer | None, Fault | None]:
        """The answer, and the fault that it is to meet on its way."""
        with self._lock:
            self.requests.append(request)
            self._in_hand += 1
            self.most = max(self.most, self._in_hand)
            met = [rule for rule in self._rules if rule.meets(request.method, request.path)]
        fault = request.fault = met[0].fault if met else None
        try:
            return self._serve(request, query, raw, fault), fault
        finally:
            with self._lock:
                self._in_hand -= 1

    def _serve(
        self, request: Request, query: str, raw: bytes, fault: Fault | None
    ) -> Answer | None:
        if isinstance(fault, Delay):
            self._closing.wait(fault.seconds)
        answer = None
        carried_out = fault is None or fault.applied or isinstance(fault, Delay | Half)
        checked = self._check(request, query, raw)
        if isinstance(checked, Answer):
            answer = checked
        elif carried_out:
            answer = self._carry_out(request, *checked)
        if isinstance(fault, Status):
            answer = _failed(fault)
        elif isinstance(fault, Garbage):
            answer = Answer(200, fault.body)
        request.status = answer.status if answer and not isinstance(fault, Cut) else 0
        return answer

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the server lives."""
        self._closing.wait(seconds)

    def violation(self, what: str) -> None:
        """Remember what fails the test."""
        with self._lock:
            self.violations.append(what)

    def _check(
        self, request: Request, query: str, raw: bytes
    ) -> Answer | tuple[Call, dict[str, str], Any]:
        try:
            call, path = find(request.method, request.path)
            request.call = call.name
            refusal = self._key_refused(request)
            if refusal:
                return refusal
            request.query = call.parse_query(query)
            request.model = call.parse_body(raw)
        except BadRequest as problem:
            self.violation(f"{request.method} {request.path}: {problem}")
            return _error(400, f"Format error in JSON body: {problem}")
        if raw and call.body is not None:
            request.body = json.loads(raw)
        if len(raw) > MAX_BYTES and not call.file:
            self.violation(f"{call.name}: a body of {len(raw)} bytes, more than the server takes")
            return _error(413, "Payload too large")
        body = (request.headers.get("content-type", ""), raw) if call.file else request.model
        return call, path, body

    def _key_refused(self, request: Request) -> Answer | None:
        if self.api_key is None or request.path in OPEN_PATHS:
            return None
        given = request.headers.get("api-key")
        if given is None:
            missing = "Must provide an API key or an Authorization bearer token"
            return Answer(401, missing.encode(), "text/plain")
        if hmac.compare_digest(given.encode(), self.api_key.encode()):
            return None
        if self.read_only_key is None or given != self.read_only_key:
            return Answer(401, BODIES[401].encode(), "text/plain")
        reads = request.method == "GET" or request.call.startswith(READS)
        return None if reads else Answer(403, BODIES[403].encode(), "text/plain")

    def _carry_out(self, request: Request, call: Call, path: dict[str, str], body: Any) -> Answer:
        started = time.perf_counter()
        try:
            result = self.engine.execute(call, path, request.query or {}, body)
        except Refused as no:
            return _error(no.status, no.message)
        except Unsupported as problem:
            self.violation(str(problem))
            return _error(501, str(problem))
        except Exception as problem:  # a fault of ours must not pass for Qdrant's
            self.violation(f"the loopback failed in {call.name}: {problem!r}")
            return _error(500, f"Service internal error: {problem!r}")
        if isinstance(result, bytes):
            return Answer(200, result, "application/octet-stream")
        if isinstance(result, str):
            return Answer(200, result.encode(), "text/plain")
        if call.name == "root":
            return Answer(200, adapter(call.answer).dump_json(result, by_alias=True))
        took = time.perf_counter() - started
        envelope = adapter(call.answer).validate_python(
            {"result": result, "status": "ok", "time": took}
        )
        return Answer(200, adapter(call.answer).dump_json(envelope, by_alias=True))


def _failed(fault: Status) -> Answer:
    body = BODIES.get(fault.code, f'{{"status":{{"error":"{fault.code}"}},"time":0.0}}')
    kind = "application/json" if body[0] == "{" else "text/html"
    after = () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)
    return Answer(fault.code, body.encode(), kind, after)


def _error(status: int, message: str) -> Answer:
    body = {"status": {"error": message}, "time": 0.0}
    return Answer(status, json.dumps(body).encode())


def make_certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    place = folder / "loopback.pem"
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    command = ["openssl", *options.split(), names, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    place.write_bytes(key.read_bytes() + certificate.read_bytes())
    return place


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, owner: Loopback) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)
        if owner.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(owner.certificate)
            # the handshake happens in the connection's own thread, at the first read
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of the server's; anything else is."""
        problem = sys.exc_info()[1]
        if not isinstance(problem, OSError):  # ssl.SSLError is one
            self.owner.violation(f"the loopback failed: {problem!r}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Tests read `requests` instead."""

    def _do(self) -> None:
        path, _, query = self.path.partition("?")
        raw = b"".join(self._body())
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, headers, len(raw))
        answer, fault = self.server.owner.serve(request, query, raw)
        if isinstance(fault, Cut) or answer is None:
            self._cut(reset=isinstance(fault, Cut) and fault.reset)
        elif isinstance(fault, Half):
            self.wfile.write(answer.head() + answer.body[: int(len(answer.body) * fault.share)])
            self.server.owner.pause(fault.seconds)
            self._cut(reset=False)
        else:
            self.wfile.write(answer.head() + answer.body)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815  (as http.server calls them)

    def _cut(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            now = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self.connection.close()
        else:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
