"""An encoder behind any OpenAI-compatible `/v1/embeddings`: vLLM, TEI, Infinity.

```text
remote:http://localhost:8000/v1?tokenizer=/models/minilm&served_model=minilm
```

The tokenizer is the served model's own: servers refuse or cut texts that are too long, each in its
way, so lengths are checked here, before anything is sent.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
from numpy.typing import NDArray

from drehr_rag._arguments import whole
from drehr_rag._extras import require
from drehr_rag._http import ModelServer
from drehr_rag.encoders._text_encoder import Overflow, TextEncoder
from drehr_rag.errors import EncoderError, ModelUnavailable, UnknownName
from drehr_rag.types import SERVED, Fingerprint

BATCH_TOKENS = 8_192
"""Tokens a request: what a server schedules at once by default (vLLM's max_num_batched_tokens)."""

BATCH_TEXTS = 32
"""Texts a request: what TEI takes by default (--max-client-batch-size); vLLM has no limit."""

BATCH_BYTES = 1_000_000
"""Bytes of text a request, below the smallest usual limit of a proxy (nginx: 1 MB)."""

CONCURRENCY = 4
"""Requests in flight: one is computed while others travel."""

TIMEOUT = 120.0
"""Seconds a request may take, from the first byte sent to the last one received."""

RETRIES = 5
"""Further tries after 429, 5xx or a broken connection, 0.5, 1, 2, 4, 8 seconds apart, each up to
half as long again, or what the server asks for with `Retry-After`, at most 30."""

KEY = "DREHR_EMBEDDING_API_KEY"
"""The environment variable of the server's key."""

_NUMBERS = ("max_tokens", "batch_texts")
_SETTINGS = ("served_model", "tokenizer", *_NUMBERS, "query_prompt", "passage_prompt")
"""What may stand in the address, so that a store can remember it."""


def load(model: str | None = None, **options: Any) -> "RemoteEncoder":
    """An encoder at an address.

    Args:
        model: `http://host:8000/v1?tokenizer=…&served_model=…`.
        options: Those of `RemoteEncoder`; they may stand in the address too, but for the key and
            what only concerns speed.

    Raises:
        ModelUnavailable: The server does not answer, or not with a vector.
        UnknownName: An unknown option, or no tokenizer.
    """
    address, _, query = (model or "").partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name in given:
        if name not in _SETTINGS:
            raise UnknownName(f"remote has no setting {name!r}: {', '.join(_SETTINGS)}")
    settings: dict[str, Any] = {**given, **options}
    for name in set(_NUMBERS) & set(given):
        if settings[name] == (written := given[name]) and written.isdecimal():
            settings[name] = int(written)
    if "tokenizer" not in settings:
        raise UnknownName(
            "name the served model's tokenizer, a tokenizer.json or its folder: "
            f"remote:{address or 'http://localhost:8000/v1'}?tokenizer=FOLDER"
        )
    return RemoteEncoder(address, **settings)


class RemoteEncoder(TextEncoder):
    """Sends batches by tokens and bytes, some at a time, and tries again what may pass.

    Args:
        url: Base address, with or without `/v1`.
        tokenizer: The served model's `tokenizer.json`, or the folder that holds it.
        served_model: Its name on the server; by default the only one that is served.
        max_tokens: Longest input, special tokens counted; by default what the server says.
        query_prompt: Before each query.
        passage_prompt: Before each passage.
        api_key: By default from the environment variable DREHR_EMBEDDING_API_KEY.
        batch_texts: Texts a request.
        batch_tokens: Tokens a request.
        batch_bytes: Bytes of text a request.
        concurrency: Requests in flight.
        timeout: Seconds a request may take.
        retries: Further tries of a request that failed.
        overflow: What happens to texts that are too long.
    """

    _unfit = (
        "the weights that are served are broken, or their precision there is too narrow (with "
        "vLLM: --dtype float32)"
    )

    def __init__(
        self,
        url: str,
        *,
        tokenizer: str,
        served_model: str | None = None,
        max_tokens: int | None = None,
        query_prompt: str = "",
        passage_prompt: str = "",
        api_key: str | None = None,
        batch_texts: int = BATCH_TEXTS,
        batch_tokens: int = BATCH_TOKENS,
        batch_bytes: int = BATCH_BYTES,
        concurrency: int = CONCURRENCY,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        overflow: Overflow = "warn",
    ) -> None:
        """Ask the server for its model and for one vector, to learn the dimension."""
        for what, number, least in (
            ("max_tokens", 1 if max_tokens is None else max_tokens, 1),
            ("batch_texts", batch_texts, 1),
            ("batch_tokens", batch_tokens, 1),
            ("batch_bytes", batch_bytes, 1),
            ("concurrency", concurrency, 1),
            ("retries", retries, 0),
        ):
            whole(number, what, least)
        self._server = ModelServer(
            url,
            what="the embedding server",
            key=api_key or os.environ.get(KEY),
            key_name=KEY,
            error=EncoderError,
            timeout=timeout,
            retries=0,  # while the server is looked for, waiting helps nobody
        )
        self._url = self._server.url
        self._tokens = _Tokens(tokenizer)
        self._batch_texts = batch_texts
        self._batch_tokens, self._batch_bytes = batch_tokens, batch_bytes
        self._concurrency = concurrency
        try:
            self._model, longest = self._served(served_model, max_tokens)
            dimension = len(self._request(["gout"])[0])
        except EncoderError as problem:
            raise ModelUnavailable(str(problem)) from None
        self._server.retries = retries
        settings = {
            "served_model": self._model,
            "tokenizer": tokenizer if "://" in tokenizer else str(Path(tokenizer).resolve()),
            "max_tokens": str(longest),
            "batch_texts": "" if batch_texts == BATCH_TEXTS else str(batch_texts),
            "query_prompt": query_prompt,
            "passage_prompt": passage_prompt,
        }
        fingerprint = Fingerprint(
            model=self._model,
            weights=SERVED,
            pooling=SERVED,
            query_prompt=query_prompt,
            passage_prompt=passage_prompt,
            max_tokens=longest,
            dimension=dimension,
        )
        kept = urlencode({name: value for name, value in settings.items() if value})
        super().__init__(f"remote:{self._url}?{kept}", fingerprint, overflow=overflow)

    @property
    def tokenizer(self) -> Any:
        """The served model's own, on this machine."""
        return self._tokens

    def _served(self, model: str | None, max_tokens: int | None) -> tuple[str, int]:
        """Its name and longest input; vLLM tells both, Infinity its name, TEI neither."""
        entries = {}
        if model is None or max_tokens is None:
            reply = self._server.send("GET", "models", None, or_if_missing={"data": []})
            try:
                listed = reply["data"]
                listed = [listed] if isinstance(listed, dict) else listed
                entries = {str(entry["id"]): entry for entry in listed}
            except (KeyError, TypeError):
                entries = {}
            if model is None and not entries:
                raise UnknownName(
                    f"{self._url} does not tell what it serves: give served_model and max_tokens, "
                    f"as in remote:{self._url}?tokenizer=FOLDER&served_model=NAME&max_tokens=512"
                )
            if model is None and len(entries) > 1:
                raise UnknownName(
                    f"{self._url} serves {len(entries)} models: give served_model, one of "
                    f"{sorted(entries)}"
                )
        name = model or next(iter(entries))
        longest = max_tokens or entries.get(name, {}).get("max_model_len")
        if not isinstance(longest, int):
            raise UnknownName(f"{self._url} does not say how much {name} reads: give max_tokens")
        return name, longest

    # -- encoding ------------------------------------------------------------------------------

    def _vectors(self, texts: Sequence[str], *, query: bool) -> NDArray[Any]:
        prompt = self.fingerprint.query_prompt if query else self.fingerprint.passage_prompt
        room = self._room[query]
        sent = [prompt + self._cut(text, room) for text in texts]
        batches = list(self._batches(sent))
        with ThreadPoolExecutor(self._concurrency) as pool:
            found = list(pool.map(lambda rows: self._request([sent[i] for i in rows]), batches))
        out: NDArray[Any] = np.zeros((len(sent), self.fingerprint.dimension))
        for rows, vectors in zip(batches, found, strict=True):
            if vectors.shape[1] != self.fingerprint.dimension:
                raise EncoderError(
                    f"{self._url} sent vectors of {vectors.shape[1]} numbers, before they had "
                    f"{self.fingerprint.dimension}: another model is served there now"
                )
            out[rows] = vectors
        return out

    def _cut(self, text: str, room: int) -> str:
        """The text's first tokens: what a local model would read of it."""
        if len(text.encode()) <= room:  # no token is shorter than a byte
            return text
        spans = self._tokens.spans(text)
        return text if len(spans) <= room else text[: spans[room - 1][1]]

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Positions of texts of like length, within the bounds; one alone may pass them."""
        counts = self._tokens.counts(texts)
        special = self._special_tokens()
        batch: list[int] = []
        tokens = size = 0
        for i in sorted(range(len(texts)), key=lambda i: counts[i]):
            own, own_bytes = counts[i] + special, len(texts[i].encode())
            full = (
                len(batch) == self._batch_texts
                or tokens + own > self._batch_tokens
                or size + own_bytes > self._batch_bytes
            )
            if batch and full:
                yield batch
                batch, tokens, size = [], 0, 0
            batch.append(i)
            tokens, size = tokens + own, size + own_bytes
        if batch:
            yield batch

    def _request(self, texts: Sequence[str]) -> NDArray[Any]:
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        reply = self._server.send("POST", "embeddings", body)
        try:
            rows = sorted(reply["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float64)
            places = [int(row["index"]) for row in rows]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise EncoderError(f"{self._url} sent something that is not vectors") from None
        if places != list(range(len(texts))) or vectors.ndim != 2:
            raise EncoderError(f"{self._url} sent {len(places)} vectors for {len(texts)} texts")
        return vectors


class _Tokens:
    """A `tokenizer.json` with transformers' manner of calling, without transformers.

    Args:
        place: The file, or the folder that holds it.
    """

    def __init__(self, place: str) -> None:
        """Read it; whatever cutting or padding it was saved with is taken off."""
        library = require("tokenizers", extra="remote")
        file = Path(place).expanduser()
        file = file / "tokenizer.json" if file.is_dir() else file
        try:
            self._tokenizer = library.Tokenizer.from_str(file.read_text("utf-8"))
        except OSError as problem:
            raise ModelUnavailable(f"there is no tokenizer at {file}: {problem.strerror}") from None
        except Exception:  # the library raises nothing narrower
            raise ModelUnavailable(f"{file} is no tokenizer.json") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def num_special_tokens_to_add(self, *, pair: bool = False) -> int:
        """Special tokens that are put around a text."""
        added: int = self._tokenizer.num_special_tokens_to_add(pair)
        return added

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""
        return [len(row) for row in self(list(texts))["input_ids"]]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in the text."""
        spans: list[tuple[int, int]] = self(text)["offset_mapping"]
        return spans

    def __call__(self, texts: str | Sequence[str], **_: Any) -> dict[str, Any]:
        """`input_ids` of a list, or `offset_mapping` of one text; no special tokens."""
        if isinstance(texts, str):
            return {
                "offset_mapping": self._tokenizer.encode(texts, add_special_tokens=False).offsets
            }
        encode: Callable[..., Any] = self._tokenizer.encode_batch_fast
        return {"input_ids": [row.ids for row in encode(list(texts), add_special_tokens=False)]}
