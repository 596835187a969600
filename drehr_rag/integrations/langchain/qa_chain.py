"""`ehr_qa_chain`: answers with citations, as a Runnable."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import get_config_list

from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._encoders import an_index
from drehr_rag.integrations.langchain._chat_generator import ChatModelGenerator
from drehr_rag.integrations.langchain._scopes import around, configured, narrowest
from drehr_rag.integrations.langchain._tracing import refuse_tracing
from drehr_rag.protocols import Generator
from drehr_rag.qa import Allow, AuditLog, QaChain, Settings
from drehr_rag.types import Answer, AnswerSentence, Scope

Asked = str | Mapping[str, Any]
"""A question, or `{"question": …}`."""


def ehr_qa_chain(
    index: EhrIndex,
    model: BaseChatModel | Generator | None = None,
    *,
    scope: Scope | None = None,
    structured: bool = False,
    settings: Settings | None = None,
    allow: Allow | None = None,
    caller: str | None = None,
    audit: AuditLog | None = None,
    allow_tracing: bool = False,
) -> "EhrQaChain":
    """A chain from a question to an `Answer`.

    Args:
        index: An open index.
        model: Any LangChain chat model, or a generator of `load_generator`; without one the notes
            are quoted.
        scope: Whose notes at most; `configurable` of a config (`patient_id`, `encounter_id`) and
            `scope` of a call narrow it. Where none of them says, `ScopeRequired`.
        structured: Hold a chat model to the schema by `response_format` (OpenAI, vLLM).
        settings: How questions are answered.
        allow: Whether a caller may read a scope.
        caller: Who asks.
        audit: Where each question is recorded.
        allow_tracing: Permit hosted tracing, which sends note text elsewhere.
    """
    generator: Any = model
    if isinstance(model, BaseChatModel):
        generator = ChatModelGenerator(model, structured=structured)
    chain = an_index(index).qa_chain(
        generator, settings=settings, allow=allow, caller=caller, audit=audit
    )
    return EhrQaChain(chain, scope=scope, allow_tracing=allow_tracing)


class EhrQaChain(Runnable[Asked, Answer]):
    """Made by `ehr_qa_chain`; whose notes are read, no model chooses."""

    def __init__(self, chain: QaChain, *, scope: Scope | None, allow_tracing: bool) -> None:
        """Check the scope, if there is one."""
        self._chain = chain
        self._scope = None if scope is None else narrowest(scope)
        self._allow_tracing = allow_tracing

    def invoke(self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        """The answer to a question.

        Args:
            input: The question, or `{"question": …}`.
            config: As in LangChain; `{"configurable": {"patient_id": "p1"}}` narrows the scope.
            kwargs: `scope`, and what narrows the search, as in `EhrIndex.search`.

        Raises:
            ScopeRequired: Neither constructor, config nor call says whose notes.
            ScopeError: One of them reaches outside another.
            GeneratorError: The model failed.
            TracingRefused: Hosted tracing is on.
        """
        narrow = self._narrowed(config, kwargs)

        def ask(asked: Asked) -> Answer:
            return self._chain.ask(_question(asked), **narrow)

        return self._call_with_config(ask, input, config)

    async def ainvoke(
        self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Answer:
        """As `invoke`; the event loop is never blocked."""
        narrow = self._narrowed(config, kwargs)

        async def ask(asked: Asked) -> Answer:
            return await self._chain.aask(_question(asked), **narrow)

        return await self._acall_with_config(ask, input, config)

    def batch(
        self,
        inputs: list[Asked],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Answer]:
        """The answers to many questions, which are prepared together (`QaChain.ask_many`).

        Each config may narrow its own question's scope. With `max_concurrency`, or where errors
        are wanted in the answers' places, each is invoked by itself, as LangChain does by default.
        """
        configs = get_config_list(config, len(inputs))
        if _apart(configs, return_exceptions):
            return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)
        questions, narrow = self._together(inputs, configs, kwargs)

        def ask(_: Any) -> Any:
            return self._chain.ask_many(questions, **narrow)

        return self._batch_with_config(ask, inputs, configs)

    async def abatch(
        self,
        inputs: list[Asked],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Answer]:
        """As `batch`; the event loop is never blocked."""
        configs = get_config_list(config, len(inputs))
        if _apart(configs, return_exceptions):
            return await super().abatch(
                inputs, configs, return_exceptions=return_exceptions, **kwargs
            )
        questions, narrow = self._together(inputs, configs, kwargs)

        async def ask(_: Any) -> Any:
            return await self._chain.aask_many(questions, **narrow)

        return await self._abatch_with_config(ask, inputs, configs)

    async def astream(  # type: ignore[override]  # sentences come before the answer
        self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AnswerSentence | Answer]:
        """Each sentence as soon as it is verified, then the answer."""
        narrow = self._narrowed(config, kwargs)
        async with aclosing(self._chain.astream(_question(input), **narrow)) as parts:
            async for part in parts:
                yield part

    def stream(  # type: ignore[override]
        self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AnswerSentence | Answer]:
        """As `astream`."""
        narrow = self._narrowed(config, kwargs)
        parts: Any = self._chain.stream(_question(input), **narrow)
        with closing(parts):
            yield from parts

    def _together(
        self, inputs: list[Asked], configs: list[RunnableConfig], kwargs: dict[str, Any]
    ) -> tuple[list[str], dict[str, Any]]:
        scopes = [self._narrowed(config, kwargs)["scope"] for config in configs]
        return list(map(_question, inputs)), {**kwargs, "scope": scopes}

    def _narrowed(self, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        merged = ensure_config(config)
        refuse_tracing(merged.get("callbacks"), allowed=self._allow_tracing)
        scope = narrowest(self._scope, around(), configured(merged), kwargs.get("scope"))
        return {**kwargs, "scope": scope}


def _apart(configs: list[RunnableConfig], return_exceptions: bool) -> bool:
    return return_exceptions or any(config.get("max_concurrency") for config in configs)


def _question(asked: Asked) -> str:
    words = asked.get("question") if isinstance(asked, Mapping) else asked
    if not isinstance(words, str):
        raise BadArgument('ask with a text, or with {"question": text}')
    return words
