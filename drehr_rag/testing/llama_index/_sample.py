"""Some nodes of three patients, and what a filter means, told as plainly as can be."""

from collections.abc import Callable
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import (
    BaseNode,
    Document,
    IndexNode,
    MetadataMode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

PATIENTS = ("p1", "p2", "p3")
WORDS = ("gout", "fever", "heart failure", "chest pain", "stroke", "gout and fever")
AND, OR, NOT = FilterCondition.AND, FilterCondition.OR, FilterCondition.NOT


def sample() -> list[BaseNode]:
    """Eighteen nodes, six a patient: of the same words, wards and kinds of document."""
    nodes: list[BaseNode] = []
    for patient in PATIENTS:
        for number, words in enumerate(WORDS):
            metadata: dict[str, Any] = {
                "patient_id": patient,
                "ward": "ABC"[number % 3],
                "age": 50 + number,
                "tags": ["acute", words] if number % 2 else ["chronic"],
                "nested": {"b": [1, 2.5, None, True], "a": "x"},
            }
            if number == 0:
                del metadata["ward"]
            fields: dict[str, Any] = {
                "id_": f"{patient}-{number}",
                "text": f"{words} of patient {patient}",
                "metadata": metadata,
                "excluded_embed_metadata_keys": list(metadata),
                "excluded_llm_metadata_keys": ["patient_id"],
            }
            nodes.append(_kind(number, patient, fields))
    return nodes


def _kind(number: int, patient: str, fields: dict[str, Any]) -> BaseNode:
    if number == 4:
        return Document(**fields)
    document = RelatedNodeInfo(node_id=f"{patient}-document", metadata={"from": "sample"})
    fields["relationships"] = {NodeRelationship.SOURCE: document}
    if number == 5:
        return IndexNode(index_id="elsewhere", **fields)
    return TextNode(start_char_idx=10, end_char_idx=10 + len(fields["text"]), **fields)


def embedded(nodes: list[BaseNode], model: BaseEmbedding) -> list[BaseNode]:
    """The nodes with their vectors."""
    texts = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
    for node, vector in zip(nodes, model.get_text_embedding_batch(texts), strict=True):
        node.embedding = vector
    return nodes


def leaf(key: str, operator: FilterOperator, value: Any = None) -> MetadataFilter:
    """A condition on one key."""
    return MetadataFilter(key=key, operator=operator, value=value)


def group(condition: FilterCondition, *parts: Any) -> MetadataFilters:
    """Conditions joined."""
    return MetadataFilters(filters=list(parts), condition=condition)


OF_P1, OF_P2 = (
    leaf("patient_id", FilterOperator.EQ, "p1"),
    leaf("patient_id", FilterOperator.EQ, "p2"),
)
WARD_A, WARD_B = leaf("ward", FilterOperator.EQ, "A"), leaf("ward", FilterOperator.EQ, "B")
OLD = leaf("age", FilterOperator.GT, 53)

MEANT: list[tuple[MetadataFilters, Callable[[dict[str, Any]], bool]]] = [
    (group(AND, WARD_A), lambda m: m.get("ward") == "A"),
    (group(AND, leaf("ward", FilterOperator.NE, "A")), lambda m: m.get("ward") != "A"),
    (group(AND, leaf("age", FilterOperator.GT, 52)), lambda m: m["age"] > 52),
    (group(AND, leaf("age", FilterOperator.GTE, 52)), lambda m: m["age"] >= 52),
    (group(AND, leaf("age", FilterOperator.LT, 52)), lambda m: m["age"] < 52),
    (group(AND, leaf("age", FilterOperator.LTE, 52)), lambda m: m["age"] <= 52),
    (group(AND, leaf("age", FilterOperator.IN, [50, 55])), lambda m: m["age"] in (50, 55)),
    (group(AND, leaf("ward", FilterOperator.NIN, ["A"])), lambda m: m.get("ward") != "A"),
    (
        group(AND, leaf("tags", FilterOperator.ANY, ["gout", "chronic"])),
        lambda m: "chronic" in m["tags"],
    ),
    (
        group(AND, leaf("tags", FilterOperator.ALL, ["fever", "acute"])),
        lambda m: m["tags"] == ["acute", "fever"],
    ),
    (group(AND, leaf("tags", FilterOperator.CONTAINS, "acute")), lambda m: "acute" in m["tags"]),
    (
        group(AND, leaf("patient_id", FilterOperator.TEXT_MATCH, "1")),
        lambda m: m["patient_id"] == "p1",
    ),
    (group(AND, leaf("ward", FilterOperator.IS_EMPTY)), lambda m: "ward" not in m),
    (group(AND, OF_P1), lambda m: m["patient_id"] == "p1"),
    (group(OR, OF_P1, OF_P2), lambda m: m["patient_id"] != "p3"),
    (group(OR, WARD_A, OLD), lambda m: m.get("ward") == "A" or m["age"] > 53),
    (group(AND, WARD_A, OLD), lambda m: m.get("ward") == "A" and m["age"] > 53),
    (group(NOT, WARD_A, OLD), lambda m: m.get("ward") != "A" and m["age"] <= 53),
    (
        group(AND, OF_P1, group(OR, WARD_A, group(NOT, OLD, WARD_B))),
        lambda m: (
            m["patient_id"] == "p1"
            and (m.get("ward") == "A" or (m["age"] <= 53 and m.get("ward") != "B"))
        ),
    ),
]
"""Filters, and what they mean on a node's metadata."""

REACHING: list[MetadataFilters] = [
    MetadataFilters(filters=[]),
    group(OR),
    group(NOT),
    group(AND, group(AND)),
    group(OR, OF_P1, group(AND)),
    group(NOT, group(OR)),
    group(AND, OF_P2),
    group(OR, OF_P1, OF_P2),
    group(OR, group(AND, OF_P2), group(NOT, OF_P2)),
    group(NOT, OF_P1),
    group(NOT, group(AND, OF_P1, OF_P2)),
    group(AND, leaf("patient_id", FilterOperator.NE, "p1")),
    group(AND, leaf("patient_id", FilterOperator.IN, ["p1", "p2", "p3"])),
    group(AND, leaf("patient_id", FilterOperator.NIN, [])),
    group(AND, leaf("patient_id", FilterOperator.IS_EMPTY)),
    group(OR, leaf("age", FilterOperator.GTE, 0), leaf("no such key", FilterOperator.NE, "x")),
]
"""Filters that would reach everybody if they could do more than narrow."""
