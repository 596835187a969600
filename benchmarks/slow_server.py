"""A server of chat completions that takes as long as it is told, and quotes the first passage.

    python -m benchmarks.slow_server SECONDS SLOTS

Prints its address, then serves until its input ends. It answers SLOTS requests at a time, each
SECONDS after its turn has come, whatever is asked; in a process of its own, so that its work does
not count as the asker's.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PASSAGE = re.compile(r'<passage number="1"[^>]*>\n(.*?)\n</passage>', re.DOTALL)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
QUOTE = 60
"""Characters of the passage that are quoted at most, in whole words."""


class SlowServer:
    """Serves on loopback.

    Args:
        seconds: From a request's turn to its reply.
        slots: Requests that are answered at a time; the others wait for their turn.
    """

    def __init__(self, seconds: float, slots: int) -> None:
        """Nothing is served yet."""
        self._seconds = seconds
        self._slots = asyncio.Semaphore(slots)

    async def serve(self) -> None:
        """Until the input ends."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**24)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
        async with server:
            await asyncio.to_thread(sys.stdin.read)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                answer = await self._reply(json.loads(body)) if body else _models()
                data = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _reply(self, asked: dict[str, list[dict[str, str]]]) -> dict[str, object]:
        async with self._slots:
            await asyncio.sleep(self._seconds)
        passage = _PASSAGE.search(asked["messages"][0]["content"])
        quote = passage[1][:QUOTE].rsplit(None, 1)[0].strip() if passage else ""
        sentence = {"text": quote, "passages": [1], "quote": quote}
        content = json.dumps({"not_in_notes": not quote, "sentences": [sentence] if quote else []})
        message = {"role": "assistant", "content": content}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def _models() -> dict[str, object]:
    return {"data": [{"id": "slow"}]}


@contextmanager
def slow_server(seconds: float, slots: int) -> Iterator[str]:
    """The address of such a server, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.slow_server", str(seconds), str(slots)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(SlowServer(float(sys.argv[1]), int(sys.argv[2])).serve())
