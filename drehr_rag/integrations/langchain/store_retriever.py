"""`DrEhrVectorStoreRetriever`: what `DrEhrVectorStore.as_retriever` gives."""

from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import model_validator

from drehr_rag.integrations.langchain._narrowing import check_search
from drehr_rag.integrations.langchain._scoped_retriever import ScopedRetriever
from drehr_rag.integrations.langchain._scopes import around, narrowest
from drehr_rag.types import Scope


class DrEhrVectorStoreRetriever(ScopedRetriever, VectorStoreRetriever):
    """LangChain's retriever over a store, with `search_type` and `search_kwargs`, in a scope."""

    model_config = ScopedRetriever.model_config  # of two bases, the last one's would hold

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        """Told now, and not at the first query."""
        check_search(self.search_type, self.search_kwargs)
        if any(scope is not None for scope in self._ceilings()):
            narrowest(*self._ceilings())
        if self.search_type == "similarity_score_threshold":
            self.vectorstore._select_relevance_score_fn()
        return self

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """As the store does, inside this retriever's scope."""
        return super().add_documents(documents, **self._writing(kwargs))

    async def aadd_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """As the store does, inside this retriever's scope."""
        return await super().aadd_documents(documents, **self._writing(kwargs))

    def _writing(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        scope = narrowest(*self._ceilings(), around(), kwargs.get("scope"))
        return {**kwargs, "scope": scope}

    def _ceilings(self) -> tuple[Scope | None, ...]:
        store: Any = self.vectorstore
        return (store.scope, self.scope, self.search_kwargs.get("scope"))

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        return BaseRetriever._get_ls_params(self, **kwargs)  # the store's would load the encoder
