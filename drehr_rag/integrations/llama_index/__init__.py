"""DR.EHR in LlamaIndex: the same chunks, order and scores as in the core, behind its interfaces."""

from drehr_rag._extras import require

require("llama_index.core", extra="llama-index")

from drehr_rag.integrations.llama_index.chat_engine import EhrChatEngine  # noqa: E402
from drehr_rag.integrations.llama_index.embedding import DrEhrEmbedding  # noqa: E402
from drehr_rag.integrations.llama_index.node_parser import DrEhrNodeParser  # noqa: E402
from drehr_rag.integrations.llama_index.query_engine import EhrQueryEngine  # noqa: E402
from drehr_rag.integrations.llama_index.reader import EhrNoteReader  # noqa: E402
from drehr_rag.integrations.llama_index.retriever import DrEhrRetriever, PatientNodes  # noqa: E402
from drehr_rag.integrations.llama_index.vector_store import DrEhrVectorStore  # noqa: E402

__all__ = [
    "DrEhrEmbedding",
    "DrEhrNodeParser",
    "DrEhrRetriever",
    "DrEhrVectorStore",
    "EhrChatEngine",
    "EhrNoteReader",
    "EhrQueryEngine",
    "PatientNodes",
]
