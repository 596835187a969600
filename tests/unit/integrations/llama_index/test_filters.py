"""Filters mean what they say, and the part a store knows never leaves out what they let through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from drehr_rag.errors import BadArgument
from drehr_rag.integrations.llama_index._filters import keep, known_to_the_store
from drehr_rag.integrations.llama_index._nodes import to_chunk
from drehr_rag.stores._payload import to_payload
from drehr_rag.stores._where import admits, narrow
from drehr_rag.types import AllPatients, Filters

O, C = FilterOperator, FilterCondition  # noqa: E741

KEYS = ["patient_id", "encounter_id", "note_type", "section", "ward"]
VALUES = ["p1", "p2", "PMH", "pmh", "Past medical history", "A", "7"]
metadata = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=5)
leaves = st.one_of(
    st.builds(
        MetadataFilter,
        key=st.sampled_from(KEYS),
        operator=st.sampled_from([O.EQ, O.NE, O.GT, O.LTE, O.CONTAINS, O.TEXT_MATCH]),
        value=st.sampled_from(VALUES),
    ),
    st.builds(
        MetadataFilter,
        key=st.sampled_from(KEYS),
        operator=st.sampled_from([O.IN, O.NIN]),
        value=st.lists(st.sampled_from(VALUES), max_size=3),
    ),
    st.builds(
        MetadataFilter,
        key=st.sampled_from(KEYS),
        operator=st.just(O.IS_EMPTY),
        value=st.none(),
    ),
)
conditions = st.sampled_from([C.AND, C.OR, C.NOT, None])
trees = st.recursive(
    st.builds(
        MetadataFilters, filters=st.lists(leaves, min_size=1, max_size=3), condition=conditions
    ),
    lambda inner: st.builds(
        MetadataFilters,
        filters=st.lists(inner | leaves, min_size=1, max_size=3),
        condition=conditions,
    ),
    max_leaves=6,
)


def naive(part, held):
    """What the filters mean, written once more."""
    if isinstance(part, MetadataFilters):
        met = [naive(inner, held) for inner in part.filters]
        if part.condition is C.OR:
            return True in met
        return True not in met if part.condition is C.NOT else False not in met
    value, wanted = held.get(part.key), part.value
    if part.operator is O.IS_EMPTY:
        return not value
    if value is None:
        return part.operator in (O.NE, O.NIN)
    return {
        O.EQ: lambda: value == wanted,
        O.NE: lambda: value != wanted,
        O.GT: lambda: value > wanted,
        O.LTE: lambda: value <= wanted,
        O.CONTAINS: lambda: wanted in value,
        O.TEXT_MATCH: lambda: wanted in value,
        O.IN: lambda: value in wanted,
        O.NIN: lambda: value not in wanted,
    }[part.operator]()


@given(trees, metadata)
def test_filters_and_what_the_store_knows_of_them(filters, held):
    chunk = to_chunk(TextNode(id_="n", text="x", metadata=held))
    expected = naive(filters, held)
    assert keep(filters)(chunk) == expected
    where = narrow(AllPatients(reason="test"), known_to_the_store(filters))
    if expected:
        assert where is not None
        assert admits(where, to_payload(chunk, "d", 1))


def both(*parts):
    return MetadataFilters(filters=list(parts))


def equal(key, value):
    return MetadataFilter(key=key, value=value)


def test_the_store_is_told_what_it_has_an_index_for():
    filters = both(
        equal("patient_id", 7),
        MetadataFilter(key="patient_id", value=["7", "8"], operator=O.IN),
        equal("section", "PMH"),
        equal("note_type", "Letter"),
        equal("ward", "A"),
    )
    assert known_to_the_store(filters, note_ids=("n1",)) == Filters(
        patient_ids=("7",),
        sections=("past medical history",),
        note_types=("Letter",),
        note_ids=("n1",),
    )
    contradiction = both(equal("patient_id", "1"), equal("patient_id", "2"))
    assert known_to_the_store(contradiction) == Filters(patient_ids=())
    either = MetadataFilters(filters=[equal("patient_id", "1")], condition=C.OR)
    assert known_to_the_store(either) == Filters()


def test_ids_are_compared_as_ids():
    node = TextNode(id_="n", text="x", metadata={"patient_id": 10000032})
    chunk = to_chunk(node)
    assert keep(both(equal("patient_id", "10000032")))(chunk)
    assert keep(both(equal("patient_id", 10000032)))(chunk)
    assert not keep(both(equal("patient_id", 10000033)))(chunk)


def test_the_document_goes_by_the_names_that_other_stores_use():
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d1")}
    chunk = to_chunk(TextNode(id_="n", text="x", relationships=source))
    own = to_chunk(TextNode(id_="n", text="x", relationships=source, metadata={"doc_id": "mine"}))
    for key in ("ref_doc_id", "doc_id", "document_id"):
        assert keep(both(equal(key, "d1")))(chunk)
    assert keep(both(equal("doc_id", "mine")))(own)
    assert not keep(both(equal("doc_id", "d1")))(own)


@pytest.mark.parametrize(
    "filters",
    [
        MetadataFilters(filters=[]),
        MetadataFilters(filters=[], condition=C.OR),
        MetadataFilters(filters=[], condition=C.NOT),
        both(MetadataFilters(filters=[])),
        MetadataFilters(filters=[equal("ward", "A"), both()], condition=C.OR),
    ],
)
def test_an_empty_group_is_refused(filters):
    with pytest.raises(BadArgument, match="empty group"):
        keep(filters)


@pytest.mark.parametrize(
    ("operator", "value", "reason"),
    [
        (O.EQ, None, "takes one value"),
        (O.EQ, ["A"], "takes one value"),
        (O.IN, "A", "takes a list"),
        (O.ANY, None, "takes a list"),
        (O.TEXT_MATCH, 3, "takes one value"),
        (O.GT, [1], "takes one value"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_before_anything_is_read(operator, value, reason):
    with pytest.raises(BadArgument, match=reason):
        keep(both(MetadataFilter(key="ward", value=value, operator=operator)))


@pytest.mark.parametrize(
    ("operator", "value"),
    [(O.GT, 3), (O.CONTAINS, 3), (O.TEXT_MATCH, "A"), (O.TEXT_MATCH_INSENSITIVE, "a")],
)
def test_what_cannot_be_compared_is_an_error_and_no_silent_nothing(operator, value):
    held = {"ward": "secret ward"} if operator in (O.GT, O.CONTAINS) else {"ward": 3}
    chunk = to_chunk(TextNode(id_="n", text="x", metadata=held))
    with pytest.raises(BadArgument, match="compare") as error:
        keep(both(MetadataFilter(key="ward", value=value, operator=operator)))(chunk)
    assert "secret" not in str(error.value)


def test_a_patient_id_that_is_none_is_refused():
    with pytest.raises(BadArgument, match="patient_id"):
        keep(both(equal("patient_id", 1.5)))
