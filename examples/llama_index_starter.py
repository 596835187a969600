"""LlamaIndex's starter tutorial on the invented ward: read, index, ask; one patient at a time."""

import os
from importlib.resources import files

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.llms import LLM, MockLLM
from llama_index.llms.openai_like import OpenAILike

from drehr_rag import AllPatients, Patient
from drehr_rag.integrations.llama_index import (
    DrEhrEmbedding,
    DrEhrNodeParser,
    DrEhrVectorStore,
    EhrNoteReader,
)


def language_model() -> LLM:
    """What is served at `$OPENAI_BASE_URL` (vLLM, say), or else one that repeats its prompt."""
    if url := os.environ.get("OPENAI_BASE_URL"):
        return OpenAILike(os.environ["MODEL"], api_base=url, is_chat_model=True, max_tokens=200)
    return MockLLM()


embedding = DrEhrEmbedding("offline")  # was HuggingFaceEmbedding(model_name=…)
everybody = AllPatients(reason="indexing the ward")
# was QdrantVectorStore("ward", client=…)
store = DrEhrVectorStore.open(":memory:", scope=everybody, encoder=embedding.encoder)
documents = EhrNoteReader().load_data(files("drehr_rag.ward") / "notes.jsonl")
VectorStoreIndex.from_documents(
    [document for document in documents if document.metadata["patient_id"] in ("p04", "p08")],
    transformations=[DrEhrNodeParser(encoder=embedding.encoder)],  # was SentenceSplitter()
    embed_model=embedding,
    storage_context=StorageContext.from_defaults(vector_store=store),
)
for patient_id in ("p04", "p08"):
    one = store.with_scope(Patient(patient_id))  # was a filter on the metadata
    index = VectorStoreIndex.from_vector_store(one, embed_model=embedding)
    query_engine = index.as_query_engine(
        llm=language_model(),
        similarity_top_k=3,
        vector_store_query_mode="hybrid",
    )
    response = query_engine.query("Why was the anticoagulant changed?")
    print(patient_id, "→", str(response)[:200])
    for source in response.source_nodes:
        place = source.node.ref_doc_id, source.node.start_char_idx, source.node.end_char_idx
        print("   ", f"{source.score:.2f}", *place)
