"""What a LlamaIndex integration must do: suites to subclass, since LlamaIndex has none.

```python
from drehr_rag.testing.llama_index import VectorStoreSuite

class TestMyStore(VectorStoreSuite):
    def open_store(self, folder): ...
    def bind(self, store, patient_id): ...
```
"""

from drehr_rag.testing.llama_index._embedding import EmbeddingSuite
from drehr_rag.testing.llama_index._ingestion import IngestionSuite
from drehr_rag.testing.llama_index._vector_store import VectorStoreSuite

__all__ = ["EmbeddingSuite", "IngestionSuite", "VectorStoreSuite"]
