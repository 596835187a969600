"""LlamaIndex's starter tutorial on the invented ward: read, index, ask; one patient at a time."""

from importlib.resources import files
from typing import Any

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata

from drehr_rag import AllPatients, Patient
from drehr_rag.integrations.llama_index import (
    DrEhrEmbedding,
    DrEhrNodeParser,
    DrEhrVectorStore,
    EhrNoteReader,
)


class StandIn(CustomLLM):
    """In place of a language model: says the first passage that it is shown."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        passage = prompt.split("---------------------\n")[1].split("\n\n")[1]
        return CompletionResponse(text=passage)

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        yield self.complete(prompt)


embedding = DrEhrEmbedding("offline")
store = DrEhrVectorStore.open(
    ":memory:", scope=AllPatients(reason="indexing the ward"), encoder=embedding.encoder
)
documents = EhrNoteReader().load_data(files("drehr_rag.ward") / "notes.jsonl")
VectorStoreIndex.from_documents(
    [document for document in documents if document.metadata["patient_id"] in ("p04", "p08")],
    transformations=[DrEhrNodeParser(encoder=embedding.encoder)],
    embed_model=embedding,
    storage_context=StorageContext.from_defaults(vector_store=store),
)
for patient_id in ("p04", "p08"):
    index = VectorStoreIndex.from_vector_store(
        store.with_scope(Patient(patient_id)), embed_model=embedding
    )
    query_engine = index.as_query_engine(
        llm=StandIn(), similarity_top_k=3, vector_store_query_mode="hybrid"
    )
    response = query_engine.query("Why was the anticoagulant changed?")
    print(patient_id, "→", response)
    for source in response.source_nodes:
        place = source.node.ref_doc_id, source.node.start_char_idx, source.node.end_char_idx
        print("   ", f"{source.score:.2f}", *place)
