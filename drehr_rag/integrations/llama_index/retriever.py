"""`DrEhrRetriever`: an index as LlamaIndex's retriever, bound to a scope."""

from dataclasses import dataclass, field
from typing import Any, Self

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeWithScore, QueryBundle

from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex, Names, When, named_filters
from drehr_rag.integrations._ceiling import checked_scope, narrowed
from drehr_rag.integrations._encoders import an_index
from drehr_rag.integrations._fixed_options import check_options
from drehr_rag.integrations._search import expander_of, search
from drehr_rag.integrations._threads import in_thread
from drehr_rag.integrations._told import NAMES, told
from drehr_rag.integrations.llama_index._nodes import to_node
from drehr_rag.integrations.llama_index._tracing import refuse_tracing
from drehr_rag.types import AssertionMode, Hit, Scope, SearchMode


@dataclass(frozen=True, slots=True)
class PatientNodes:
    """What one patient's notes yielded; `score` is that of the best node."""

    patient_id: str | None
    score: float
    nodes: tuple[NodeWithScore, ...] = field(repr=False)


class DrEhrRetriever(BaseRetriever):
    """Searches an index as `EhrIndex.search` does, inside one scope.

    Args:
        index: An open index.
        scope: Whose notes; `with_scope` may narrow it later, nothing widens it.
        similarity_top_k: How many nodes.
        mode: `expanded`: by other words too; `hybrid`, `dense`, `lexical`, `rrf`; or `reranked`.
        assertion: What becomes of chunks that deny it, as in `EhrIndex.search`.
        note_type: Only notes of this type, or these.
        section: Only chunks under this heading, or these.
        since: Only notes written at or after this time.
        until: Only notes written at or before this time.
        explain: Put what a hit knows into the metadata too, of which model and vector see nothing:
            `scores` by stage, `assertion`, and the `matches` that found it. Of one passage it
            differs from query to query.
        callback_manager: LlamaIndex's.

    Raises:
        ScopeRequired: No scope.
        BadArgument: An option with which every search would fail, such as an unknown mode.
        TracingRefused: A tracer listens that may send notes elsewhere.
    """

    def __init__(
        self,
        index: EhrIndex,
        *,
        scope: Scope,
        similarity_top_k: int = 10,
        mode: SearchMode = "expanded",
        assertion: AssertionMode = "ranked",
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
        explain: bool = False,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Check scope and options; nothing is searched."""
        super().__init__(callback_manager=callback_manager)
        self._index = an_index(index)
        self._scope = checked_scope(scope)
        self._top_k = similarity_top_k
        self._how: dict[str, Any] = {"mode": mode, "assertion": assertion}
        self._node = _explained if explain else _scored
        self._filters: dict[str, Any] = {
            "note_type": note_type,
            "section": section,
            "since": since,
            "until": until,
        }
        check_options(
            k=similarity_top_k, name_of_k="similarity_top_k", **self._how, **self._filters
        )
        refuse_tracing(self.callback_manager)

    @property
    def scope(self) -> Scope:
        """Whose notes it searches."""
        return self._scope

    def with_scope(self, scope: Scope) -> Self:
        """The same for fewer: a scope inside the present one.

        Raises:
            ScopeError: It reaches beyond.
        """
        other = type(self).__new__(type(self))
        other.__dict__ = {**self.__dict__, "_scope": narrowed(self._scope, scope)}
        return other

    def retrieve_grouped(
        self, query: str | QueryBundle, *, k: int = 10, per_patient: int = 3
    ) -> list[PatientNodes]:
        """The k patients whose notes fit best, each with up to `per_patient` nodes.

        Patients stand in the order of their best node.
        """
        refuse_tracing(self.callback_manager)
        words = query.query_str if isinstance(query, QueryBundle) else query
        groups = self._index.search_patients(
            words, scope=self._scope, k=k, per_patient=per_patient, **self._how, **self._filters
        )
        return [
            PatientNodes(group.patient_id, group.score, tuple(map(self._node, group.hits)))
            for group in groups
        ]

    async def aretrieve_grouped(
        self, query: str | QueryBundle, *, k: int = 10, per_patient: int = 3
    ) -> list[PatientNodes]:
        """As `retrieve_grouped`, off the event loop."""
        return await in_thread(self.retrieve_grouped, query, k=k, per_patient=per_patient)

    def __reduce__(self) -> str:
        """An open index stays in its process."""
        raise BadArgument("a retriever holds an open index: open it again in the other process")

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        refuse_tracing(self.callback_manager)
        return [self._node(hit) for hit in self._hits(query_bundle)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await in_thread(self._retrieve, query_bundle)

    def _hits(self, bundle: QueryBundle) -> list[Hit]:
        """An embedding that the bundle brings is passed over: another model may have made it.

        Its other texts give the vector where a vector is all that is asked for besides the words.
        """
        texts = bundle.custom_embedding_strs
        if not texts or self._how["mode"] in ("lexical", "reranked"):
            return self._index.search(
                bundle.query_str,
                scope=self._scope,
                k=self._top_k,
                **self._how,
                **self._filters,
            )
        return search(
            self._index.store,
            **self._how,
            words=bundle.query_str,
            vector=self._index.encoder.encode_queries(texts).mean(axis=0),
            scope=self._scope,
            filters=named_filters(**self._filters),
            k=self._top_k,
            expander=expander_of(self._index),
        )


def _scored(hit: Hit) -> NodeWithScore:
    return NodeWithScore(node=to_node(hit.chunk), score=hit.score)


def _explained(hit: Hit) -> NodeWithScore:
    found = _scored(hit)
    found.node.metadata |= told(hit)
    for hidden in (
        found.node.excluded_llm_metadata_keys,
        found.node.excluded_embed_metadata_keys,
    ):
        hidden.extend(name for name in NAMES if name not in hidden)
    return found
