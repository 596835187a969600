"""A LlamaIndex node as a chunk, and back: what comes out equals what went in.

A node's id is the chunk's, its document's id is the note's, and `patient_id`, `encounter_id`,
`note_type`, `section` and `written_at` are read from its metadata, which is kept whole. What else
makes the node stands in the chunk's metadata under `KEY`, as JSON text too.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from drehr_rag.errors import BadArgument
from drehr_rag.integrations._kept import HALF, KEPT, as_json, as_text, kept, storable
from drehr_rag.notes.sections import canonical
from drehr_rag.types import Chunk, Note, as_id, as_time

KEY = "llama_index_node"

FOR_THE_MODEL = ("note_id", "note_type", "written_at", "section")
"""Metadata that a language model may see; who the patient is, it need not know."""

_CLASSES: dict[str, type[BaseNode]] = {
    kind.__name__: kind for kind in (TextNode, Document, Node, IndexNode, ImageNode)
}
_STORED_APART = {"id_", "embedding", "metadata", "text", "text_resource", "class_name"}
_DUMPED_APART = {*_STORED_APART, "relationships"}


def metadata_of(source: Note | Chunk) -> dict[str, Any]:
    """What LlamaIndex shows of a note or chunk that did not come from LlamaIndex."""
    fields = {
        "patient_id": source.patient_id,
        "encounter_id": source.encounter_id,
        "note_id": source.note_id,
        "note_type": source.note_type,
        "written_at": source.written_at.isoformat() if source.written_at else None,
        "section": getattr(source, "section", None),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return {**source.metadata, **known}


def to_be_adopted(payload: Mapping[str, Any], point_id: str) -> BaseNode:
    """The node that LlamaIndex's own Qdrant store wrote as this payload.

    Raises:
        BadArgument: There is none in it.
    """
    try:
        return metadata_dict_to_node(dict(payload))
    except ValueError:
        raise BadArgument(
            f"point {point_id} holds no LlamaIndex node (no _node_content that can be read): "
            "another program wrote this collection"
        ) from None


def exclusions(metadata: Mapping[str, Any]) -> dict[str, list[str]]:
    """Nothing of the metadata into the vector, and no patient into the prompt."""
    return {
        "excluded_embed_metadata_keys": list(metadata),
        "excluded_llm_metadata_keys": [key for key in metadata if key not in FOR_THE_MODEL],
    }


def node_metadata(chunk: Chunk) -> dict[str, Any]:
    """The metadata of the node that a chunk is, whoever wrote it; their values are the chunk's."""
    given = kept(chunk)
    return metadata_of(chunk) if given is None else given


def to_node(chunk: Chunk) -> BaseNode:
    """The node that was made a chunk, or a node of a chunk that the core indexed."""
    metadata = _own(node_metadata(chunk))
    if KEY in chunk.metadata:
        held = json.loads(chunk.metadata[KEY])
        text = _text(held, chunk.text)
        kind = _CLASSES[held.pop("class")]
        return kind.from_dict({**held, "id_": chunk.chunk_id, "metadata": metadata, **text})
    note = RelatedNodeInfo(node_id=chunk.note_id, node_type=ObjectType.DOCUMENT)
    return TextNode(
        id_=chunk.chunk_id,
        text=chunk.text,
        metadata=metadata,
        start_char_idx=chunk.start,
        end_char_idx=chunk.end,
        relationships={NodeRelationship.SOURCE: note},
        **exclusions(metadata),
    )


def _own(metadata: dict[str, Any]) -> dict[str, Any]:
    """A copy that may be changed; copying what cannot change takes longer than all the rest."""
    return {
        name: value if isinstance(value, str | int | float | None) else deepcopy(value)
        for name, value in metadata.items()
    }


def to_chunk(node: BaseNode) -> Chunk:
    """The chunk that stands for a node.

    Raises:
        BadArgument: The node is of a foreign class, holds more than text, or its metadata holds
            what JSON cannot.
    """
    if type(node) not in _CLASSES.values():
        raise BadArgument(
            f"nodes are {', '.join(_CLASSES)}, not {type(node).__name__}: what a class of its own "
            "adds would be lost"
        )
    _check_id(node.node_id, "a node's id")
    try:
        return _chunk(node)
    except BadArgument as problem:
        raise BadArgument(f"node {node.node_id!r}: {problem}") from None


def _chunk(node: BaseNode) -> Chunk:
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    _check_text(text)
    metadata = node.metadata
    start, end = _place(node, text)
    note_type, section = metadata.get("note_type"), metadata.get("section")
    return Chunk(
        chunk_id=node.node_id,
        note_id=_check_id(node.ref_doc_id or node.node_id, "the id of its document"),
        patient_id=_optional_id(metadata, "patient_id"),
        encounter_id=_optional_id(metadata, "encounter_id"),
        start=start,
        end=end,
        text=text,
        source=text,
        note_type=note_type if isinstance(note_type, str) else None,
        section=canonical(section) if isinstance(section, str) else None,
        written_at=_time(metadata.get("written_at")),
        metadata={
            KEPT: as_json(metadata),
            KEY: _rest(node),
        },
    )


def _text(held: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A node of several kinds of content keeps its text among them."""
    if held["class"] not in (Node.__name__, Document.__name__):
        return {"text": text}
    if "text_resource" not in held:
        return {}
    return {"text_resource": {**held["text_resource"], "text": text}}


def _rest(node: BaseNode) -> str:
    """What else makes the node, as JSON text."""
    resources = _resources(node) if isinstance(node, Node) else {}
    try:
        dumped = node.model_dump(mode="json", exclude_defaults=True, exclude=_DUMPED_APART)
        fields = {name: value for name, value in dumped.items() if name not in _STORED_APART}
        if node.relationships:
            fields["relationships"] = _relationships(node)
        return as_text({"class": type(node).__name__, **fields, **resources})
    except (TypeError, ValueError):
        raise BadArgument("holds an object that JSON cannot hold") from None


def _relationships(node: BaseNode) -> dict[str, Any]:
    """As `model_dump` gives them, in a quarter of its time: there are three a node."""
    return {
        str(kind.value): list(map(_told, named)) if isinstance(named, list) else _told(named)
        for kind, named in node.relationships.items()
    }


def _told(named: RelatedNodeInfo) -> dict[str, Any]:
    return {name: value for name, value in vars(named).items() if value not in (None, {})}


def _resources(node: Node) -> dict[str, Any]:
    if node.image_resource or node.audio_resource or node.video_resource:
        raise BadArgument("holds images, sound or film; this store holds text")
    if node.text_resource is None:
        return {}
    held = node.text_resource.model_dump(mode="json", exclude_none=True, exclude={"text"})
    if node.text_resource.data:
        raise BadArgument("holds bytes beside its text; this store holds text")
    return {"text_resource": held}


def _place(node: BaseNode, text: str) -> tuple[int, int]:
    """Offsets in the note, where the node tells any that fit its text."""
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    if start is None or end is None or end - start != len(text):
        return 0, len(text)
    return start, end


def _optional_id(metadata: Mapping[str, Any], name: str) -> str | None:
    if metadata.get(name) is None:
        return None
    try:
        return as_id(metadata[name])
    except ValueError as problem:
        raise BadArgument(f"{name} {problem}") from None


def _time(value: object) -> Any:
    try:
        return as_time(value)
    except ValueError as problem:
        raise BadArgument(f"written_at {problem}") from None


def _check_id(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadArgument(f"{what} is text and not empty")
    _check_text(value)
    return value


def _check_text(text: str) -> None:
    if not storable(text):
        raise BadArgument(HALF)
