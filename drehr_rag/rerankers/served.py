"""A reranker behind `/v1/rerank`, the interface of Jina's and Cohere's: vLLM and others serve it.

```text
served:http://localhost:8000/v1
```
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl

from drehr_rag._arguments import number, whole
from drehr_rag._http import ModelServer
from drehr_rag.errors import BadArgument, ModelUnavailable, RerankerError, UnknownName
from drehr_rag.protocols import Encoder

BATCH = 32
"""Passages a request."""

BATCH_BYTES = 1_000_000
"""Bytes of text a request, below the smallest usual limit of a proxy (nginx: 1 MB)."""

CONCURRENCY = 4
"""Requests in flight: one is computed while others travel."""

TIMEOUT = 30.0
"""Seconds a request may take, from the first byte sent to the last one received."""

RETRIES = 3
"""Further tries after 429, 5xx or a broken connection, 0.5, 1 and 2 seconds apart: somebody waits
for this search."""

KEY = "DREHR_RERANK_API_KEY"
"""The environment variable of the server's key."""


def load(
    model: str | None = None,
    *,
    encoder: Encoder | None = None,
    served_model: str | None = None,
    api_key: str | None = None,
    batch_size: int = BATCH,
    concurrency: int = CONCURRENCY,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
) -> "ServedReranker":
    """A reranker at an address.

    Args:
        model: `http://host:8000/v1`, or with `?served_model=NAME`.
        encoder: Not needed.
        served_model: Its name on the server; by default the only one that is served.
        api_key: By default from the environment variable DREHR_RERANK_API_KEY.
        batch_size: Passages a request.
        concurrency: Requests in flight.
        timeout: Seconds a request may take.
        retries: Further tries of a request that failed.

    Raises:
        ModelUnavailable: The server does not answer, or not with scores.
        BadArgument: The address or a number cannot be used.
    """
    address, _, query = (model or "").partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if wrong := sorted(given.keys() - {"served_model"}):
        raise UnknownName(f"served has no setting {', '.join(wrong)}: there is served_model")
    for what, value, least in (
        ("batch_size", batch_size, 1),
        ("concurrency", concurrency, 1),
        ("retries", retries, 0),
    ):
        whole(value, what, least)
    number(timeout, "timeout", 0)
    server = ModelServer(
        address,
        what="the reranking server",
        key=api_key or os.environ.get(KEY),
        key_name=KEY,
        error=RerankerError,
        timeout=timeout,
        retries=0,  # while the server is looked for, waiting helps nobody
    )
    try:
        name = served_model or given.get("served_model") or _only_model(server)
        reranker = ServedReranker(server, name, batch_size=batch_size, concurrency=concurrency)
        reranker.score("gout", ["gout"])
    except RerankerError as problem:
        raise ModelUnavailable(str(problem)) from None
    server.retries = retries
    return reranker


def _only_model(server: ModelServer) -> str:
    reply = server.send("GET", "models", None)
    try:
        names = sorted(str(entry["id"]) for entry in reply["data"])
    except (KeyError, TypeError):
        names = []
    if len(names) != 1:
        raise BadArgument(f"{server.url} serves {len(names)} models: name one of {names}")
    return names[0]


class ServedReranker:
    """Sends batches, some at a time, and puts the scores back in the passages' order.

    Args:
        server: Where.
        model: Its name there.
        batch_size: Passages a request.
        concurrency: Requests in flight.
    """

    def __init__(
        self,
        server: ModelServer,
        model: str,
        *,
        batch_size: int = BATCH,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Nothing is sent."""
        self.name = f"served:{server.url}?served_model={model}"
        self._server = server
        self._model = model
        self._batch_size = batch_size
        self._concurrency = concurrency

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text, as the server's model gives it.

        Raises:
            RerankerError: The server failed, or sent something that is no score for each text.
        """
        batches = list(self._batches(texts))
        if len(batches) < 2:
            return [score for batch in batches for score in self._request(query, batch)]
        with ThreadPoolExecutor(self._concurrency) as pool:
            found = list(pool.map(lambda batch: self._request(query, batch), batches))
        return [score for batch in found for score in batch]

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Passages within the bounds; one alone may pass them."""
        batch: list[str] = []
        size = 0
        for text in texts:
            own = len(text.encode())
            if batch and (len(batch) == self._batch_size or size + own > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += own
        if batch:
            yield batch

    def _request(self, query: str, texts: Sequence[str]) -> list[float]:
        body = {
            "model": self._model,
            "query": query,
            "documents": list(texts),
            "top_n": len(texts),
            "truncate_prompt_tokens": -1,  # vLLM: cut at what the model reads, do not refuse
        }
        reply = self._server.send("POST", "rerank", body)
        scores = _scores(reply)
        if scores is None or sorted(scores) != list(range(len(texts))):
            count = "no scores" if scores is None else f"{len(scores)} scores"
            raise RerankerError(f"{self._server.url} sent {count} for {len(texts)} passages")
        return [scores[place] for place in range(len(texts))]


def _scores(reply: Any) -> dict[int, float] | None:
    """Scores by the passages' places; None if the reply holds none, or what is no number."""
    try:
        rows = [(int(row["index"]), float(row["relevance_score"])) for row in reply["results"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    scores = dict(rows)
    return scores if len(scores) == len(rows) and all(map(isfinite, scores.values())) else None
