"""`DrEhrNodeParser`: documents to nodes that are the core's chunks, with offsets into the note."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.node_parser import NodeParser
from llama_index.core.node_parser.node_utils import default_id_func
from llama_index.core.schema import (
    BaseNode,
    MetadataMode,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.utils import get_tqdm_iterable
from pydantic import ValidationError

from drehr_rag.errors import BadArgument
from drehr_rag.integrations._kept import ONE_LOST
from drehr_rag.integrations._threads import in_thread
from drehr_rag.integrations.llama_index._by_name import EncoderByName, identity
from drehr_rag.integrations.llama_index._filters import IDS
from drehr_rag.integrations.llama_index._tracing import refuse_tracing
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.protocols import Chunker, Encoder
from drehr_rag.types import Chunk, Note

logger = logging.getLogger(__name__)

TOGETHER = 8
"""Documents that are cut together. What cutting leaves for Python's garbage collector dies young
then: with 300 at once a full pass follows, which took .4 s of 3.7 (benchmarks.frameworks)."""


class DrEhrNodeParser(EncoderByName, NodeParser):
    """Cuts documents as `EhrIndex.add` cuts notes: the same chunks, with the same ids.

    Each node knows `start_char_idx` and `end_char_idx` in its document's text. Its metadata are
    the document's and its `section`; none of it is embedded, and the ids of patient and
    encounter are kept from the language model as well. Documents without text yield no node;
    how many, the log tells. A document is known by its id: of two that differ and have the same
    id, parts of the same words would be one, so these are refused.

    Args:
        model_name: As in `DrEhrEmbedding`: its tokenizer counts, its limit holds.
        encoder: One that is loaded already, in place of a name (`embedding.encoder`).
        device: As in `DrEhrEmbedding`.
        encoder_options: As in `DrEhrEmbedding`.
        chunker: `sections` or `words`.
        chunker_options: For instance `{"cleaning": "cliniq"}` for `words`.
        settings: LlamaIndex's own: `include_metadata`, `include_prev_next_rel`, `id_func`,
            `callback_manager`.

    Raises:
        UnknownName: No chunker, or no option of it, has this name.
    """

    chunker: str = "sections"
    chunker_options: dict[str, Any] = Field(default_factory=dict)
    _chunker: Chunker | None = PrivateAttr(default=None)

    def __init__(
        self,
        model_name: str = "dr-ehr-small",
        *,
        encoder: Encoder | None = None,
        device: str | None = None,
        encoder_options: Mapping[str, Any] | None = None,
        chunker: str = "sections",
        chunker_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Load encoder and chunker."""
        super().__init__(
            model_name,
            encoder=encoder,
            device=device,
            encoder_options=encoder_options,
            chunker=chunker,
            chunker_options=dict(chunker_options or {}),
            **settings,
        )
        refuse_tracing(self.callback_manager)
        _ = self._splitter  # options that cannot be meant are told now

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names it in saved files and hashes."""
        return "DrEhrNodeParser"

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """What decides the nodes and nothing else: `IngestionPipeline` hashes this."""
        return {
            "class_name": self.class_name(),
            "chunker": dict(self._splitter.settings),
            "tokens": identity(self.encoder.fingerprint),
            "include_metadata": self.include_metadata,
            "include_prev_next_rel": self.include_prev_next_rel,
            "id_func": getattr(self.id_func, "__qualname__", ""),
        }

    def __getstate__(self) -> dict[Any, Any]:
        """Without what belongs to this process."""
        return {k: v for k, v in super().__getstate__().items() if k != "callback_manager"}

    @property
    def _splitter(self) -> Chunker:
        if self._chunker is None:
            self._chunker = load_chunker(
                self.chunker,
                count_tokens=self.encoder.count_tokens,
                max_tokens=self.encoder.max_tokens,
                **self.chunker_options,
            )
        return self._chunker

    def _parse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        refuse_tracing(self.callback_manager)
        written = [node for node in nodes if node.get_content(MetadataMode.NONE).strip()]
        if len(written) < len(nodes):
            logger.warning("%d documents hold no text", len(nodes) - len(written))
        made: list[BaseNode] = []
        known: dict[str, BaseNode] = {}
        for source, some in self._cut(get_tqdm_iterable(written, show_progress, "Documents")):
            for node in self._linked(source, some):
                first = known.setdefault(node.node_id, node)
                if first is not node and first != node:
                    raise BadArgument(f"document {source.node_id!r} {ONE_LOST}")
                made.append(node)
        return made

    async def _aparse_nodes(
        self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any
    ) -> list[BaseNode]:
        return await in_thread(self._parse_nodes, nodes, show_progress, **kwargs)

    def _cut(self, sources: Iterable[BaseNode]) -> Iterator[tuple[BaseNode, list[Chunk]]]:
        """Each with its chunks, cut some together: their tokens are counted in one go."""
        waiting = iter(sources)
        while some := list(islice(waiting, TOGETHER)):
            yield from zip(some, self._splitter.split([_note(one) for one in some]), strict=True)

    def _postprocess_parsed_nodes(
        self, nodes: list[BaseNode], parent_doc_map: Mapping[str, Any]
    ) -> list[BaseNode]:
        """Nothing is left to do; LlamaIndex's own looks for each text and may find it elsewhere."""
        return nodes

    def _linked(self, source: BaseNode, chunks: Sequence[Chunk]) -> Iterator[BaseNode]:
        document = _document(source)  # once: its hash is that of the whole text
        nodes = [self._node(source, document, number, chunk) for number, chunk in enumerate(chunks)]
        if self.include_prev_next_rel:
            names = [_named(node) for node in nodes]
            for before, after in pairwise(range(len(nodes))):
                nodes[before].relationships[NodeRelationship.NEXT] = names[after]
                nodes[after].relationships[NodeRelationship.PREVIOUS] = names[before]
        yield from nodes

    def _node(
        self, source: BaseNode, document: RelatedNodeInfo, number: int, chunk: Chunk
    ) -> TextNode:
        own = {} if chunk.section is None else {"section": chunk.section}
        metadata = {**(source.metadata if self.include_metadata else {}), **own}
        offset = _offset(source)
        same_ids = self.id_func is default_id_func
        return TextNode(
            id_=chunk.chunk_id if same_ids else self.id_func(number, source),
            text=chunk.text,
            metadata=metadata,
            start_char_idx=None if offset is None else offset + chunk.start,
            end_char_idx=None if offset is None else offset + chunk.end,
            relationships={NodeRelationship.SOURCE: document},
            excluded_embed_metadata_keys=list(metadata),
            excluded_llm_metadata_keys=sorted({*source.excluded_llm_metadata_keys, *IDS}),
            metadata_template=source.metadata_template,
            metadata_separator=source.metadata_separator,
        )


def _note(source: BaseNode) -> Note:
    """Whose it is plays no part in cutting, and a document of LlamaIndex may be nobody's."""
    try:
        return Note(
            note_id=source.node_id, patient_id="-", text=source.get_content(MetadataMode.NONE)
        )
    except ValidationError as problem:
        reason = problem.errors()[0]["msg"]
        raise BadArgument(f"document {source.node_id!r}: {reason}") from None


def _document(source: BaseNode) -> RelatedNodeInfo:
    """The document itself, by name: its metadata stand in the node once already."""
    if source.source_node is not None:
        return source.source_node
    return RelatedNodeInfo(node_id=source.node_id, node_type=ObjectType.DOCUMENT, hash=source.hash)


def _offset(source: BaseNode) -> int | None:
    """Where the source begins in its document; None if it is a part that does not tell."""
    if source.source_node is None:
        return 0
    start: int | None = getattr(source, "start_char_idx", None)
    return start


def _named(node: BaseNode) -> RelatedNodeInfo:
    return RelatedNodeInfo(node_id=node.node_id, node_type=ObjectType.TEXT)
