"""`EhrQueryEngine`: answers with citations, as LlamaIndex's query engine."""

from typing import Self

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import Response
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle

from drehr_rag.index import EhrIndex
from drehr_rag.integrations._ceiling import checked_scope, narrowed
from drehr_rag.integrations.llama_index._llm_generator import chain_of
from drehr_rag.integrations.llama_index._nodes import to_node
from drehr_rag.integrations.llama_index._tracing import refuse_tracing
from drehr_rag.protocols import Generator
from drehr_rag.qa import Allow, AuditLog, Settings
from drehr_rag.types import Answer, Scope


class EhrQueryEngine(BaseQueryEngine):
    """Answers from the notes in one scope, each sentence cited, or says that they do not tell.

    The response's `source_nodes` are the passages that were read; `metadata["answer"]` is the
    `Answer`, with citations to the character.

    Args:
        index: An open index.
        llm: Any LlamaIndex LLM, or a generator of `load_generator`; without one the notes are
            quoted.
        scope: Whose notes; `with_scope` may narrow it later, nothing widens it.
        settings: How questions are answered.
        allow: Whether a caller may read a scope.
        caller: Who asks.
        audit: Where each question is recorded.
        callback_manager: LlamaIndex's.

    Raises:
        ScopeRequired: No scope.
        TracingRefused: A tracer listens that may send notes elsewhere.
    """

    def __init__(
        self,
        index: EhrIndex,
        llm: LLM | Generator | None = None,
        *,
        scope: Scope,
        settings: Settings | None = None,
        allow: Allow | None = None,
        caller: str | None = None,
        audit: AuditLog | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Check the scope; nothing is asked."""
        super().__init__(callback_manager)
        refuse_tracing(self.callback_manager)
        self._chain, _ = chain_of(
            index, llm, settings=settings, allow=allow, caller=caller, audit=audit
        )
        self._scope = checked_scope(scope)

    @property
    def scope(self) -> Scope:
        """Whose notes it reads."""
        return self._scope

    def with_scope(self, scope: Scope) -> Self:
        """The same for fewer: a scope inside the present one.

        Raises:
            ScopeError: It reaches beyond.
        """
        other = type(self).__new__(type(self))
        other.__dict__ = {**self.__dict__, "_scope": narrowed(self._scope, scope)}
        return other

    def _query(self, query_bundle: QueryBundle) -> Response:
        refuse_tracing(self.callback_manager)
        return response(self._chain.ask(query_bundle.query_str, scope=self._scope))

    async def _aquery(self, query_bundle: QueryBundle) -> Response:
        refuse_tracing(self.callback_manager)
        return response(await self._chain.aask(query_bundle.query_str, scope=self._scope))

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}


def response(answer: Answer) -> Response:
    """An answer as LlamaIndex gives it; of an abstention, its reason."""
    nodes = [NodeWithScore(node=to_node(hit.chunk), score=hit.score) for hit in answer.hits]
    return Response(answer.text or answer.reason, nodes, {"answer": answer})
