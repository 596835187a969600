"""`DrEhrVectorStoreRetriever`: what `DrEhrVectorStore.as_retriever` gives."""

from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.vectorstores import VectorStoreRetriever

from drehr_rag.integrations.langchain._scoped_retriever import ScopedRetriever
from drehr_rag.integrations.langchain._scopes import around, narrowest
from drehr_rag.types import Scope


class DrEhrVectorStoreRetriever(ScopedRetriever, VectorStoreRetriever):
    """LangChain's retriever over a store, with `search_type` and `search_kwargs`, in a scope."""

    model_config = ScopedRetriever.model_config  # of two bases, the last one's would hold

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
