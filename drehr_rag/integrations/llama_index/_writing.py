"""Nodes with vectors, made ready for the store: all is checked before anything is written."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from llama_index.core.schema import BaseNode, MetadataMode

from drehr_rag._arguments import check_list
from drehr_rag.errors import BadArgument, EncoderMismatch
from drehr_rag.index import EhrIndex
from drehr_rag.integrations.llama_index._nodes import to_chunk
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.types import Chunk, SparseVector, Vectors

logger = logging.getLogger(__name__)

ALIKE = 0.98
"""Cosine from which two vectors count as one text by one encoder; bfloat16 costs about 0.001."""

PIECEWISE = ("llama-index", 0)
"""Digest and number of chunks of a note that comes node by node: never complete, so that
`EhrIndex.add` of the same note replaces it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written; `ids` has every node's id, `nodes` each node once."""

    ids: list[str]
    nodes: list[BaseNode]
    chunks: list[Chunk]
    dense: Vectors
    sparse: list[SparseVector]
    digests: dict[str, tuple[str, int]]


def batch_of(nodes: Iterable[BaseNode]) -> Batch:
    """The nodes as chunks with both vectors.

    Raises:
        BadArgument: See `DrEhrVectorStore.add`.
    """
    if isinstance(nodes, BaseNode):
        raise BadArgument("nodes is a list of nodes, not one node")
    check_list(nodes, "nodes")
    given = list(nodes)
    for number, node in enumerate(given):
        if not isinstance(node, BaseNode):
            raise BadArgument(f"node {number} is {type(node).__name__}, not a LlamaIndex node")
    once = _once(given)
    chunks = [to_chunk(node) for node in once]
    _warn_of_metadata(once)
    return Batch(
        ids=[node.node_id for node in given],
        nodes=once,
        chunks=chunks,
        dense=_dense(once),
        sparse=sparse_passages([chunk.text for chunk in chunks]),
        digests=dict.fromkeys((chunk.note_id for chunk in chunks), PIECEWISE),
    )


def check_vectors(batch: Batch, index: EhrIndex) -> None:
    """Compare the first vector with that of the index's encoder.

    Raises:
        EncoderMismatch: They are not alike: another model, or a query's vector.
    """
    for node, vector in zip(batch.nodes, batch.dense, strict=True):
        text = node.get_content(metadata_mode=MetadataMode.EMBED)
        if text.strip() and len(vector) == index.encoder.fingerprint.dimension:
            own = index.encoder.encode_passages([text])[0]
            cosine = float(own @ vector / np.linalg.norm(vector))
            if cosine < ALIKE:
                raise EncoderMismatch(
                    f"the vector of node {node.node_id!r} is not what {index.encoder.fingerprint} "
                    f"makes of its text (cosine {cosine:.2f}): embed with DrEhrEmbedding and the "
                    "index's own encoder, or open the store with check_vectors=False"
                )
            return


def _once(nodes: Sequence[BaseNode]) -> list[BaseNode]:
    by_id: dict[str, BaseNode] = {}
    for node in nodes:
        first = by_id.setdefault(node.node_id, node)
        if first is not node and first != node:
            raise BadArgument(
                f"two different nodes have the id {node.node_id!r}: one would be lost"
            )
    return list(by_id.values())


def _dense(nodes: Sequence[BaseNode]) -> Vectors:
    for node in nodes:
        if not node.embedding:
            raise BadArgument(f"node {node.node_id!r} has no embedding: run the embedding model")
    try:
        with np.errstate(over="ignore"):
            rows = np.array([node.embedding for node in nodes], dtype=np.float32)
    except ValueError:
        raise BadArgument("the embeddings of these nodes are not of one length") from None
    lengths = np.abs(rows).sum(axis=-1)
    if len(rows) and not (np.isfinite(lengths).all() and lengths.all()):
        raise BadArgument("an embedding is zero or not finite")
    return rows


def _warn_of_metadata(nodes: Sequence[BaseNode]) -> None:
    """Identifiers in the text that is embedded are in the vector for good."""
    shown = {
        key
        for node in nodes
        for key in node.metadata.keys() - set(node.excluded_embed_metadata_keys)
    }
    if shown:
        logger.warning(
            "metadata is part of the text that was embedded (%s): DrEhrNodeParser keeps it out, "
            "as does excluded_embed_metadata_keys",
            ", ".join(sorted(map(str, shown))),
        )
