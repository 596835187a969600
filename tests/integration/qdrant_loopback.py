"""As much of Qdrant's REST interface as indexing needs, over qdrant-client's own engine.

Not a Qdrant server: it shows that several processes write the right things to one collection.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from qdrant_client import QdrantClient, models


class Handler(BaseHTTPRequestHandler):
    def answer(self, method):
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or "{}")
        name, *rest = self.path.partition("?")[0].removeprefix("/collections/").split("/")
        with self.server.lock:
            self.server.calls.append((method, "/".join(rest)))
            result = self.route(self.server.qdrant, name, (method, *rest), body)
        content = json.dumps({"result": result, "status": "ok", "time": 0}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def route(self, qdrant, name, call, body):
        match call:
            case ("GET", "exists"):
                return {"exists": qdrant.collection_exists(name)}
            case ("GET",):
                return qdrant.get_collection(name).model_dump(mode="json", exclude_none=True)
            case ("PUT",):
                made = models.CreateCollection.model_validate(body)
                return qdrant.create_collection(
                    name,
                    vectors_config=made.vectors,
                    sparse_vectors_config=made.sparse_vectors,
                    metadata=made.metadata,
                )
            case ("PUT", "index"):
                return self.done()
            case ("PUT", "points"):
                qdrant.upsert(name, models.PointsList.model_validate(body).points)
                return self.done()
            case ("POST", "points", "delete"):
                qdrant.delete(name, models.PointIdsList.model_validate(body))
                return self.done()
            case ("POST", "points", "scroll"):
                asked = models.ScrollRequest.model_validate(body)
                points, after = qdrant.scroll(
                    name,
                    scroll_filter=asked.filter,
                    limit=asked.limit,
                    offset=asked.offset,
                    with_payload=asked.with_payload,
                )
                rows = [point.model_dump(mode="json", exclude_none=True) for point in points]
                return {"points": rows, "next_page_offset": after}
        raise ValueError(f"no answer to {call}")

    def done(self):
        return {"operation_id": 0, "status": "completed"}

    def do_GET(self):
        self.answer("GET")

    def do_PUT(self):
        self.answer("PUT")

    def do_POST(self):
        self.answer("POST")

    def log_message(self, *_):
        pass


@contextmanager
def loopback():
    """URL, engine and the calls so far."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.qdrant, server.lock, server.calls = QdrantClient(":memory:"), threading.Lock(), []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.qdrant, server.calls
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
