"""DR.EHR in LangChain: embeddings, vector store, retriever, splitter, loader, tool."""

from drehr_rag._extras import require

require("langchain_core", extra="langchain")

from drehr_rag.integrations.langchain.embeddings import DrEhrEmbeddings  # noqa: E402
from drehr_rag.integrations.langchain.retriever import DrEhrRetriever  # noqa: E402
from drehr_rag.integrations.langchain.vectorstore import DrEhrVectorStore  # noqa: E402

__all__ = ["DrEhrEmbeddings", "DrEhrRetriever", "DrEhrVectorStore"]
