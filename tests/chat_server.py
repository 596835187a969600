"""A server of chat completions on this machine, which says and breaks what a test tells it to."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 7}


class ChatServer(ThreadingHTTPServer):
    """`say(prompt, number)` gives the reply's text, a status (int), or bytes sent as they are.

    Or a choice (dict) as a server sends it; or None: the connection breaks off.
    """

    daemon_threads = True

    def __init__(self, say):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say, self.prompts, self.bodies, self.usage = say, [], [], dict(USAGE)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._send(200, {"data": [{"id": "tiny-chat"}]})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.bodies.append(body)
        server.prompts.append(body["messages"][0]["content"])
        said = server.say(server.prompts[-1], len(server.prompts))
        if said is None:
            self.close_connection = True
            self.connection.close()
            return None
        if isinstance(said, int):
            return self._send(said, {"error": server.prompts[-1]})
        if isinstance(said, bytes):
            return self._send(200, said)
        choice = said if isinstance(said, dict) else {"message": {"content": said}}
        reply = {"choices": [choice]}
        return self._send(200, reply | ({"usage": server.usage} if server.usage else {}))

    def _send(self, status, content):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

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
