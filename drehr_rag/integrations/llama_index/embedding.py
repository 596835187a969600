"""`DrEhrEmbedding`: an encoder as LlamaIndex's embedding model."""

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.storage.kvstore.types import BaseKVStore

from drehr_rag.errors import BadArgument
from drehr_rag.integrations._threads import in_thread
from drehr_rag.integrations.llama_index._by_name import EncoderByName, identity
from drehr_rag.integrations.llama_index._cache import Rows, VectorCache
from drehr_rag.integrations.llama_index._tracing import refuse_tracing
from drehr_rag.protocols import Encoder

BATCH = 1024
"""Texts handed to the encoder at a time, as in indexing; it makes its own batches, by length."""

_OF_THIS_PROCESS = {"callback_manager", "rate_limiter", "embeddings_cache"}
"""What a copy in another process does not take along."""


class DrEhrEmbedding(EncoderByName, BaseEmbedding):
    """Queries and passages by two paths that never meet, not even in a cache.

    The weights are loaded once a process. Pickled, as for `num_workers` above 1, it is a name;
    another process loads the model itself and checks that it is the same. Asynchronous calls run
    in a thread, so the event loop goes on. What `IngestionPipeline` hashes is the encoder's
    fingerprint: another device or batch size keeps the cache, other weights or prompts do not.

    Args:
        model_name: A name that `load_encoder` takes: `dr-ehr-small`, `offline`, a folder, ….
        encoder: One that is loaded already, in place of a name.
        device: `cpu`, `cuda`, …; the best there is by default.
        encoder_options: Further options of `load_encoder`.
        embeddings_cache: A LlamaIndex key-value store; keys are hashes of encoder, side and text.
        settings: LlamaIndex's own: `embed_batch_size`, `num_workers`, `callback_manager`,
            `rate_limiter`.

    Raises:
        ModelUnavailable: The model is not on this machine and cannot be fetched.
        TracingRefused: A tracer listens that may send notes elsewhere.
    """

    embed_batch_size: int = Field(default=BATCH, gt=0, le=2048, exclude=True)
    num_workers: int | None = Field(default=None, exclude=True)
    embeddings_cache: Any = Field(default=None, exclude=True)
    _cache: VectorCache | None = PrivateAttr(default=None)

    def __init__(
        self,
        model_name: str = "dr-ehr-small",
        *,
        encoder: Encoder | None = None,
        device: str | None = None,
        encoder_options: Mapping[str, Any] | None = None,
        embeddings_cache: BaseKVStore | None = None,
        **settings: Any,
    ) -> None:
        """Load the encoder, unless this process has it."""
        super().__init__(
            model_name,
            encoder=encoder,
            device=device,
            encoder_options=encoder_options,
            **settings,
        )
        refuse_tracing(self.callback_manager)
        self.embeddings_cache = embeddings_cache

    def __setattr__(self, name: str, value: Any) -> None:
        """A cache is used by this class alone: LlamaIndex would key it by the text."""
        if name != "embeddings_cache":
            super().__setattr__(name, value)
        elif value is None:
            self._cache = None
        elif isinstance(value, BaseKVStore):
            self._cache = VectorCache(value, identity(self.encoder.fingerprint))
        else:
            raise BadArgument("embeddings_cache is a LlamaIndex key-value store")

    def __getstate__(self) -> dict[Any, Any]:
        """Without what belongs to this process."""
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in _OF_THIS_PROCESS}

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names it in saved files and hashes."""
        return "DrEhrEmbedding"

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """What decides the vectors and nothing else: `IngestionPipeline` hashes this."""
        return {
            "class_name": self.class_name(),
            "fingerprint": identity(self.encoder.fingerprint),
        }

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vectors("query", [query])[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vectors("passage", [text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> Rows:
        return self._vectors("passage", texts)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._avectors("query", [query]))[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._avectors("passage", [text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> Rows:
        return await self._avectors("passage", texts)

    def _vectors(self, side: str, texts: list[str]) -> Rows:
        self._check(texts)
        if self._cache:
            return self._cache.through(side, texts, lambda some: self._encode(side, some))
        return self._encode(side, texts)

    async def _avectors(self, side: str, texts: list[str]) -> Rows:
        self._check(texts)
        if not self._cache:
            return await in_thread(self._encode, side, texts)

        async def encode(some: list[str]) -> Rows:
            return await in_thread(self._encode, side, some)

        return await self._cache.athrough(side, texts, encode)

    def _encode(self, side: str, texts: list[str]) -> Rows:
        encode = self.encoder.encode_queries if side == "query" else self.encoder.encode_passages
        rows: Rows = encode(texts).tolist()
        return rows

    def _check(self, texts: list[str]) -> None:
        refuse_tracing(self.callback_manager)
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise BadArgument(f"text {number} is {type(text).__name__}, not text")
            try:
                text.encode()
            except UnicodeEncodeError:
                raise BadArgument(f"text {number} holds half of a surrogate pair") from None
