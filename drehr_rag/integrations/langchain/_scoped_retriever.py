"""The base of both retrievers: whose notes to search, from constructor, config and call."""

from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, ensure_config
from pydantic import ConfigDict, Field, field_validator

from drehr_rag.integrations.langchain._scopes import around, configured, narrowest
from drehr_rag.integrations.langchain._tracing import refuse_tracing
from drehr_rag.types import Scope


class ScopedRetriever(BaseRetriever):
    """Hands every search the narrowest scope that was given, or refuses.

    Each of these may narrow the one before and never widen it: the field `scope`; `patient_id`
    (and `encounter_id`) of the `configurable` of the chain or agent around this call; those of the
    call's own config; the keyword `scope` of the call.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True
    )

    scope: Any = Field(default=None, repr=False)
    allow_tracing: bool = False

    @field_validator("scope", mode="plain")
    @classmethod
    def _is_a_scope(cls, scope: object) -> Scope | None:
        return None if scope is None else narrowest(scope)

    def invoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """The documents for a query.

        Args:
            input: The query.
            config: As in LangChain; `{"configurable": {"patient_id": "p1"}}` narrows the scope.
            kwargs: `scope` and what the search takes.

        Raises:
            ScopeRequired: Neither field, config nor call says whose notes to search.
            ScopeError: One of them reaches outside another.
            TracingRefused: Hosted tracing is on.
        """
        return super().invoke(input, config, **self._bounded(config, kwargs))

    async def ainvoke(
        self, input: str, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """As `invoke`; the event loop is never blocked."""
        return await super().ainvoke(input, config, **self._bounded(config, kwargs))

    def _bounded(self, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        merged = ensure_config(config)
        refuse_tracing(merged.get("callbacks"), allowed=self.allow_tracing)
        scope = narrowest(*self._ceilings(), around(), configured(merged), kwargs.get("scope"))
        return {**kwargs, "scope": scope}

    def _ceilings(self) -> tuple[Scope | None, ...]:
        return (self.scope,)
