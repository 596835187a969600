"""`QdrantCollectionLoader`: what `langchain_qdrant` has stored, as documents to index anew."""

from collections.abc import AsyncIterator, Iterator

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from qdrant_client import QdrantClient
from qdrant_client.models import Record

from drehr_rag.errors import BadArgument
from drehr_rag.integrations._adoption import pages
from drehr_rag.integrations._threads import in_threads


class QdrantCollectionLoader(BaseLoader):
    """The documents of a collection, with the ids of their points; the vectors stay behind.

    To index them anew with another encoder; `DrEhrVectorStore.adopt` keeps the vectors. The
    collection is never written to.

    Args:
        client: Connected to the server, or to the folder.
        collection: Its name.
        content_key: Where the text is in the payload, as it was given to `QdrantVectorStore`.
        metadata_key: Where the metadata is.
    """

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        *,
        content_key: str = "page_content",
        metadata_key: str = "metadata",
    ) -> None:
        """Nothing is read yet."""
        self._client = client
        self._collection = collection
        self._content = content_key
        self._metadata = metadata_key

    def lazy_load(self) -> Iterator[Document]:
        """Every document, as a stream.

        Raises:
            StoreMissing: There is no such collection.
            BadArgument: A point has no text under that key.
        """
        for points in pages(self._client, self._collection):
            yield from map(self.document, points)

    async def alazy_load(self) -> AsyncIterator[Document]:
        """As `lazy_load`, off the event loop."""
        async for document in in_threads(self.lazy_load):
            yield document

    def document(self, point: Record) -> Document:
        """A point as a document."""
        payload = point.payload or {}
        if not isinstance(payload.get(self._content), str):
            raise BadArgument(
                f"point {point.id} has no text under {self._content!r}, only "
                f"{', '.join(sorted(payload))}: name content_key"
            )
        metadata = payload.get(self._metadata) or {}
        return Document(id=str(point.id), page_content=payload[self._content], metadata=metadata)
