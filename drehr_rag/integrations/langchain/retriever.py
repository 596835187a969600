"""`DrEhrRetriever`: an index of notes as LangChain's retriever, inside a scope."""

from typing import Any, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from pydantic import Field, field_validator, model_validator

from drehr_rag.index import EhrIndex, Names, When
from drehr_rag.integrations._encoders import an_index
from drehr_rag.integrations._fixed_options import check_options
from drehr_rag.integrations._threads import in_thread
from drehr_rag.integrations._told import told
from drehr_rag.integrations.langchain._documents import to_document
from drehr_rag.integrations.langchain._scoped_retriever import ScopedRetriever
from drehr_rag.types import AssertionMode, Hit, Scope, SearchMode


class DrEhrRetriever(ScopedRetriever):
    """The best passages of the notes in scope.

    `retriever.invoke("heart failure", scope=Patient("p1"), k=3)`; every field but `index` and
    `allow_tracing` may also be given to a call, which then overrides it, save `scope`, which a
    call may only narrow.

    Args:
        index: The notes.
        scope: The ceiling of every call. Without one, each call or config must name a scope.
        k: At most so many documents.
        mode: `expanded`: by other words too; `hybrid`, `dense`, `lexical`, `rrf`; or `reranked`.
        assertion: As in `EhrIndex.search`, like the following.
        note_type: Only notes of this type, or these.
        section: Only passages under this heading, or these.
        since: Only notes written at or after this time.
        until: Only notes written at or before this time.
        explain: Put what a hit knows into the metadata too: `scores` by stage, `assertion`, and
            the `matches` that found it. Of one passage it differs from query to query.
        allow_tracing: Let hosted tracing send note text out of this machine.
    """

    index: EhrIndex = Field(repr=False)
    k: int = Field(default=10, strict=True, gt=0)
    mode: SearchMode = "expanded"
    assertion: AssertionMode = "ranked"
    note_type: Names = None
    section: Names = None
    since: When = None
    until: When = None
    explain: bool = Field(default=False, strict=True)

    @field_validator("index", mode="before")
    @classmethod
    def _is_an_index(cls, index: object) -> EhrIndex:
        return an_index(index)

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        """Told now, and not at the first query."""
        check_options(
            k=self.k,
            mode=self.mode,
            assertion=self.assertion,
            note_type=self.note_type,
            section=self.section,
            since=self.since,
            until=self.until,
        )
        return self

    def _get_relevant_documents(  # type: ignore[override]  # LangChain hands extras over by name
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        scope: Scope,
        k: int | None = None,
        mode: SearchMode | None = None,
        assertion: AssertionMode | None = None,
        note_type: Names = None,
        section: Names = None,
        since: When = None,
        until: When = None,
        explain: bool | None = None,
    ) -> list[Document]:
        called = {"k": k, "mode": mode, "assertion": assertion, "note_type": note_type,
                  "section": section, "since": since, "until": until}  # fmt: skip
        asked: dict[str, Any] = {
            name: getattr(self, name) if value is None else value for name, value in called.items()
        }
        hits = self.index.search(query, scope=scope, **asked)
        explained = self.explain if explain is None else explain
        return [_explained(hit) if explained else to_document(hit.chunk) for hit in hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **asked: Any
    ) -> list[Document]:
        manager = run_manager.get_sync()
        return await in_thread(self._get_relevant_documents, query, run_manager=manager, **asked)


def _explained(hit: Hit) -> Document:
    document = to_document(hit.chunk)
    document.metadata |= told(hit)
    return document
