"""The base of both retrievers: whose notes to search, from constructor, config and call."""

from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, Field, field_validator

from drehr_rag.errors import BadArgument
from drehr_rag.integrations.langchain._scopes import around, configured, narrowest
from drehr_rag.integrations.langchain._tracing import refuse_tracing
from drehr_rag.integrations.langchain.tool import DESCRIPTION, NAME, notes_tool
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

    def as_tool(
        self,
        args_schema: Any = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: dict[str, type] | None = None,
    ) -> BaseTool:
        """A tool for agents: passages as content, documents as artifact.

        The model chooses the query and nothing else. Whose notes are searched is bound by this
        retriever, and by `configurable` in the config with which the application calls its agent.

        Args:
            args_schema: Must be left out, as `arg_types`: the model has no further choice.
            name: What the model calls it; `search_notes` if not given.
            description: What the model is told of it.
            arg_types: Must be left out.

        Raises:
            BadArgument: A schema is given.
            TracingRefused: Hosted tracing is on.
        """
        if args_schema is not None or arg_types is not None:
            raise BadArgument("the model chooses the query and nothing else: leave the schema out")
        refuse_tracing(allowed=self.allow_tracing)
        return notes_tool(self, name=name or NAME, description=description or DESCRIPTION)

    def _bounded(self, config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        merged = ensure_config(config)
        refuse_tracing(merged.get("callbacks"), allowed=self.allow_tracing)
        scope = narrowest(*self._ceilings(), around(), configured(merged), kwargs.get("scope"))
        return {**kwargs, "scope": scope}

    def __getstate__(self) -> dict[Any, Any]:
        """An open index stays in its process, and in memory it is everybody's notes."""
        raise BadArgument("a retriever holds an open index: make it again in the other process")

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Another retriever over the same index."""
        return self.model_copy()

    def _ceilings(self) -> tuple[Scope | None, ...]:
        return (self.scope,)
