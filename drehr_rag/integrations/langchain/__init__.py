"""DR.EHR in LangChain: embeddings, vector store, retriever, tool, answers, splitter, loaders."""

from drehr_rag._extras import require

require("langchain_core", extra="langchain")

from drehr_rag.integrations.langchain.embeddings import DrEhrEmbeddings  # noqa: E402
from drehr_rag.integrations.langchain.loader import EhrNoteLoader  # noqa: E402
from drehr_rag.integrations.langchain.qa_chain import EhrQaChain, ehr_qa_chain  # noqa: E402
from drehr_rag.integrations.langchain.qdrant_loader import QdrantCollectionLoader  # noqa: E402
from drehr_rag.integrations.langchain.retriever import DrEhrRetriever  # noqa: E402
from drehr_rag.integrations.langchain.splitter import DrEhrTextSplitter  # noqa: E402
from drehr_rag.integrations.langchain.vectorstore import DrEhrVectorStore  # noqa: E402

__all__ = [
    "DrEhrEmbeddings",
    "DrEhrRetriever",
    "DrEhrTextSplitter",
    "DrEhrVectorStore",
    "EhrNoteLoader",
    "EhrQaChain",
    "QdrantCollectionLoader",
    "ehr_qa_chain",
]
