"""A server of chat completions on this machine, which says and breaks what a test tells it to."""

import json
import re
import select
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 7}


class Steps:
    """A body sent step by step, as the chunks of one answer.

    A text is sent as the event of a piece of a reply, bytes as they are, a number is waited for in
    seconds, and None breaks the connection off.
    """

    def __init__(self, *steps):
        self.steps = steps


class Refused:
    """A status with its body and headers."""

    def __init__(self, status, body=None, **headers):
        self.status, self.body, self.headers = status, body, headers


def event(content=None, finish=None, **more):
    """A piece of a reply, as bytes."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


END = (
    event("", "stop")
    + b"data: "
    + json.dumps({"choices": [], "usage": USAGE}).encode()
    + b"\n\ndata: [DONE]\n\n"
)
"""As vLLM ends a stream that is asked for its usage."""


class ChatServer(ThreadingHTTPServer):
    """`say(prompt, number)` gives the reply's text, a status (int), or bytes sent as they are.

    Or a choice (dict) as a server sends it; `Steps`; `Refused`; or None: the connection breaks off.

    Attributes:
        tokenize: A text to the number of its tokens, to bytes or to a status; by default there is
            no such path.
        tokenized: The texts that were counted.
        open: Connections at the moment.
        left: How many clients went away in the middle of an answer.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, say):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say, self.prompts, self.bodies, self.usage = say, [], [], dict(USAGE)
        self.models, self.asked_models, self.open, self.left = ["tiny-chat"], 0, 0, 0
        self.tokenize, self.tokenized = lambda text: 404, []
        self.headers, self.lock, self.change = [], threading.Lock(), threading.Condition()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def finish_request(self, request, client_address):
        """Count the connections."""
        self.count(open=1)
        try:
            with suppress(ConnectionError):
                super().finish_request(request, client_address)
        finally:
            self.count(open=-1)

    def count(self, *, open=0, left=0):
        """What has changed, for those who wait for it."""
        with self.change:
            self.open, self.left = self.open + open, self.left + left
            self.change.notify_all()

    def wait_for(self, condition, seconds=20):
        """Whether it comes true in time."""
        with self.change:
            return self.change.wait_for(lambda: condition(self), seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for its headers to be acknowledged

    def do_GET(self):
        self.server.asked_models += 1
        self._send(200, {"data": [{"id": name} for name in self.server.models]})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            return self._tokenize(body)
        with server.lock:
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            chat = self.path.endswith("/chat/completions")
            prompt = body["messages"][0]["content"] if chat else body["prompt"]
            server.prompts.append(prompt)
            number = len(server.prompts)
        server.count()  # somebody may wait for this prompt
        said = server.say(prompt, number)
        if said is None:
            return self._break_off()
        if isinstance(said, Steps):
            return self._steps(said.steps)
        if isinstance(said, Refused):
            return self._send(said.status, said.body or {"error": prompt}, said.headers)
        if isinstance(said, int):
            return self._send(said, {"error": prompt})
        if isinstance(said, bytes):
            return self._send(200, said)
        if body.get("stream"):
            return self._steps((*re.findall(r"\S+\s*", said), END))
        choice = said if isinstance(said, dict) else {"message": {"content": said}}
        reply = {"choices": [choice if chat else {"text": said, "finish_reason": "stop"}]}
        return self._send(200, reply | ({"usage": server.usage} if server.usage else {}))

    def _tokenize(self, body):
        self.server.tokenized.append(body["prompt"])
        said = self.server.tokenize(body["prompt"])
        if isinstance(said, bytes):
            return self._send(200, said)
        refused = isinstance(said, int) and said >= 400
        return self._send(said, {}) if refused else self._send(200, {"count": said})

    def _send(self, status, content, headers=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _steps(self, steps):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for step in steps:
            if step is None:
                return self._break_off()
            if isinstance(step, int | float):
                if self._gone(step):
                    self.server.count(left=1)
                    return self._break_off()
                continue
            if not (data := event(step) if isinstance(step, str) else step):
                continue  # an empty chunk would be the last
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        return self.wfile.write(b"0\r\n\r\n")

    def _gone(self, seconds):
        """Wait, unless the client goes away."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def _break_off(self):
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        """Quiet."""


@contextmanager
def chat_server(say):
    """The server, running."""
    server = ChatServer(say)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
