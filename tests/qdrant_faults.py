"""Ways in which a server or the network in front of it can fail, one small record each."""

import re
from dataclasses import dataclass

BODIES = {
    401: "Invalid API key or JWT",
    403: "Global write access is required",
    429: '{"status":{"error":"Rate limiting exceeded: Write rate limit exceeded"},"time":0.0}',
    500: '{"status":{"error":"Service internal error: 1 of 1 shards failed"},"time":0.0}',
    502: "<html><body><h1>502 Bad Gateway</h1></body></html>",
    503: "<html><body><h1>503 Service Unavailable</h1></body></html>",
}
"""What stands in such an answer: Qdrant's own words, a proxy's for 502 and 503."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong with a request.

    Attributes:
        applied: The request is carried out all the same, only its answer is lost.
    """

    applied: bool = False


@dataclass(frozen=True)
class Delay(Fault):
    """The right answer comes, but so many seconds later; the request is carried out after them."""

    seconds: float


@dataclass(frozen=True)
class Status(Fault):
    """An answer with this status, such as 429, 500, 502, 503, 401 or 403."""

    code: int
    retry_after: int | None = None


@dataclass(frozen=True)
class Cut(Fault):
    """The connection ends before a byte of the answer; with a reset instead of an end on demand."""

    reset: bool = False


@dataclass(frozen=True)
class Half(Fault):
    """The answer's head and this share of its body come, then silence, then the end.

    The request is carried out, as there would be no answer otherwise.
    """

    share: float = 0.5
    seconds: float = 0.0


@dataclass(frozen=True)
class Garbage(Fault):
    """Status 200 and a body that is no answer."""

    body: bytes = b"\x00\x01 this is no JSON {"


@dataclass
class Rule:
    """Which requests a fault meets: of those that match, the `nth` and the next `times - 1`."""

    fault: Fault
    path: re.Pattern[str]
    method: str | None
    nth: int
    times: int | None
    seen: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Whether the fault meets this request; counts it."""
        if self.method not in (None, method) or not self.path.search(path):
            return False
        self.seen += 1
        return self.nth <= self.seen and (self.times is None or self.seen < self.nth + self.times)
