"""A LangChain chat model as a generator of the core's."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import contextmanager
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables.config import ContextThreadPoolExecutor

from drehr_rag.errors import DrehrError, GeneratorError
from drehr_rag.protocols import GenerationRequest, Piece, Reply, TokenCounts

CONCURRENCY = 16
"""Threads that ask a model at once, as LangChain's own batches do."""


class ChatModelGenerator:
    """Asks a chat model; what it cannot do is an error without its words, which may be the notes'.

    Args:
        model: Any chat model.
        structured: Hold it to the schema by `response_format`, as OpenAI-compatible servers
            (vLLM) know it; other models are asked for JSON in words alone.
    """

    def __init__(self, model: BaseChatModel, *, structured: bool = False) -> None:
        """Keep it."""
        self._model, self._structured = model, structured
        self.name = str(getattr(model, "model_name", None) or type(model).__name__)

    def generate(self, request: GenerationRequest) -> str:
        """The reply's text.

        Raises:
            GeneratorError: The model failed.
        """
        return self._invoked(request).text

    def generate_many(self, requests: Sequence[GenerationRequest]) -> list[Reply | GeneratorError]:
        """The reply to each request, in their order, or why there is none; several at a time."""
        if len(requests) == 1:
            return [self._outcome(requests[0])]
        with ContextThreadPoolExecutor(CONCURRENCY) as threads:
            return list(threads.map(self._outcome, requests))

    def _outcome(self, request: GenerationRequest) -> Reply | GeneratorError:
        try:
            return self._invoked(request)
        except GeneratorError as problem:
            return problem

    def _invoked(self, request: GenerationRequest) -> Reply:
        with _failures():
            return _reply(self._asked(request).invoke([HumanMessage(request.prompt)]))

    async def agenerate(self, request: GenerationRequest) -> Reply:
        """The reply with what it cost, awaited.

        Raises:
            GeneratorError: The model failed.
        """
        with _failures():
            return _reply(await self._asked(request).ainvoke([HumanMessage(request.prompt)]))

    async def astream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        """The reply as it is written.

        Raises:
            GeneratorError: The model failed.
        """
        with _failures():
            async for chunk in self._asked(request).astream([HumanMessage(request.prompt)]):
                part = _reply(chunk)
                yield Piece(part.text, part.finish, part.tokens)

    def _asked(self, request: GenerationRequest) -> Any:
        if not self._structured:
            return self._model
        schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        return self._model.bind(response_format={"type": "json_schema", "json_schema": schema})


@contextmanager
def _failures() -> Any:
    try:
        yield
    except DrehrError:
        raise
    except Exception as problem:
        raise GeneratorError(f"the chat model failed ({type(problem).__name__})") from None


def _reply(message: AIMessage) -> Reply:
    used = message.usage_metadata
    tokens = TokenCounts(used["input_tokens"], used["output_tokens"]) if used else None
    told = message.response_metadata
    finish = told.get("finish_reason") or told.get("stop_reason")
    return Reply(str(message.text), finish, tokens, told.get("model_name"))
