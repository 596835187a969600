"""A node becomes a chunk and a node again, equal in every field."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)

from drehr_rag.errors import BadArgument
from drehr_rag.integrations.llama_index._nodes import KEY, to_chunk, to_node
from drehr_rag.notes.chunkers._chunk import make_chunk
from drehr_rag.types import Chunk, Note

words = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**90), 2**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
RESERVED = {KEY, "patient_id", "encounter_id", "written_at"}
metadata = st.dictionaries(words.filter(lambda key: key not in RESERVED), values, max_size=5)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
infos = st.builds(
    RelatedNodeInfo,
    node_id=ids,
    metadata=metadata,
    hash=st.none() | words,
    node_type=st.sampled_from([None, "1", "4"]),
)
relationships = st.dictionaries(
    st.sampled_from([NodeRelationship.SOURCE, NodeRelationship.NEXT, NodeRelationship.PARENT]),
    infos,
) | st.fixed_dictionaries({NodeRelationship.CHILD: st.lists(infos, max_size=2)})
common = {
    "id_": ids,
    "metadata": metadata,
    "excluded_embed_metadata_keys": st.lists(words, max_size=2),
    "excluded_llm_metadata_keys": st.lists(words, max_size=2),
    "relationships": relationships,
    "metadata_template": st.sampled_from(["{key}: {value}", "{key}={value}"]),
    "metadata_separator": st.sampled_from(["\n", "; "]),
    "text_template": st.sampled_from(["{metadata_str}\n\n{content}", "{content}"]),
}
offsets = st.none() | st.integers(0, 10**9)
text_fields = {
    **common,
    "text": words,
    "mimetype": st.sampled_from(["text/plain", "text/html"]),
    "start_char_idx": offsets,
    "end_char_idx": offsets,
}
nodes = st.one_of(
    st.builds(TextNode, **text_fields),
    st.builds(IndexNode, index_id=ids, **text_fields),
    st.builds(ImageNode, image=st.none() | st.just("aGk="), **text_fields),
    st.builds(Document, **common, text=words),
    st.builds(
        Node, **common, text_resource=st.none() | st.builds(MediaResource, text=st.none() | words)
    ),
)


@given(nodes)
def test_what_comes_out_is_what_went_in(node):
    chunk = to_chunk(node)
    back = to_node(chunk)
    if isinstance(node, Node) and node.text_resource and node.text_resource.text is None:
        node.text_resource.text = ""  # no text and empty text are one to a store
    assert type(back) is type(node)
    assert back == node
    assert list(back.metadata) == list(node.metadata)
    for mode in MetadataMode:
        assert back.get_content(mode) == node.get_content(mode)
    assert (chunk.chunk_id, chunk.note_id) == (node.node_id, node.ref_doc_id or node.node_id)
    assert chunk.source == chunk.text == node.get_content(MetadataMode.NONE)
    assert chunk.end - chunk.start == len(chunk.text)


def test_what_the_core_needs_is_read_from_the_metadata():
    node = TextNode(
        id_="n",
        text="gout",
        start_char_idx=7,
        end_char_idx=11,
        metadata={
            "patient_id": 10000032,
            "encounter_id": "e1",
            "note_type": "Letter",
            "section": "PMH",
            "written_at": "2180-05-07",
        },
    )
    chunk = to_chunk(node)
    assert (chunk.patient_id, chunk.encounter_id) == ("10000032", "e1")
    assert (chunk.note_type, chunk.section) == ("Letter", "past medical history")
    assert chunk.written_at == datetime(2180, 5, 7)
    assert (chunk.start, chunk.end) == (7, 11)
    assert to_node(chunk) == node
    plain = to_chunk(TextNode(text="gout", metadata={"section": 3, "note_type": ["x"]}))
    assert (plain.patient_id, plain.section, plain.note_type) == (None, None, None)


def test_offsets_that_do_not_fit_the_text_are_not_taken_for_the_notes():
    chunk = to_chunk(TextNode(text="gout", start_char_idx=7, end_char_idx=90))
    assert (chunk.start, chunk.end) == (0, 4)


def test_a_chunk_of_the_core_is_a_node_with_nothing_embedded():
    chunk = Chunk(
        chunk_id="c1",
        note_id="n1",
        patient_id="p1",
        start=5,
        end=9,
        text="gout",
        source="gout",
        encounter_id="e1",
        section="plan",
        written_at=datetime(2180, 5, 7),
        metadata={"ward": ["A", {"bed": 2}]},
    )
    node = to_node(chunk)
    assert node.metadata == {
        "ward": ["A", {"bed": 2}],
        "patient_id": "p1",
        "encounter_id": "e1",
        "note_id": "n1",
        "written_at": "2180-05-07T00:00:00",
        "section": "plan",
    }
    assert (node.node_id, node.ref_doc_id) == ("c1", "n1")
    assert (node.start_char_idx, node.end_char_idx) == (5, 9)
    assert node.get_content(MetadataMode.EMBED) == "gout"
    assert "p1" not in node.get_content(MetadataMode.LLM)
    node.metadata["ward"][1]["bed"] = 3
    assert chunk.metadata == {"ward": ["A", {"bed": 2}]}


class Own(TextNode):
    extra: str = "lost if this were stored as a TextNode"


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Own(text="x"), "not Own"),
        (TextNode(id_="", text="x"), "a node's id is text and not empty"),
        (TextNode(id_="\ud800", text="x"), "half of a surrogate"),
        (TextNode(id_="n", text="\ud800"), "'n': holds half of a surrogate"),
        (
            TextNode(id_="n", metadata={"at": datetime(2180, 5, 7)}),
            r"metadata\['at'\].*\(datetime\)",
        ),
        (TextNode(id_="n", metadata={"set": {1}}), r"metadata\['set'\].*\(set\)"),
        (TextNode(id_="n", metadata={"tuple": (1,)}), r"metadata\['tuple'\].*\(tuple\)"),
        (TextNode(id_="n", metadata={"bytes": b"x"}), r"metadata\['bytes'\].*\(bytes\)"),
        (TextNode(id_="n", metadata={"nan": float("nan")}), r"metadata\['nan'\]"),
        (TextNode(id_="n", metadata={"deep": {"x": [{3: 4}]}}), r"metadata\['deep'\]"),
        (TextNode(id_="n", metadata={"half": "\ud800"}), r"metadata\['half'\]"),
        (TextNode(id_="n", metadata={"patient_id": 1.5}), "patient_id is a fraction"),
        (TextNode(id_="n", metadata={"patient_id": ""}), "patient_id is empty"),
        (TextNode(id_="n", metadata={"patient_id": ["p1"]}), "patient_id is missing or is not"),
        (TextNode(id_="n", metadata={"encounter_id": True}), "encounter_id is missing or is not"),
        (TextNode(id_="n", metadata={"written_at": "in May"}), "written_at is not a date"),
        (IndexNode(id_="n", index_id="i", obj=object()), "an object that JSON cannot hold"),
        (Node(id_="n", image_resource=MediaResource(data=b"x")), "images, sound or film"),
        (Node(id_="n", text_resource=MediaResource(text="x", data=b"x")), "bytes beside its text"),
    ],
)
def test_what_would_be_lost_is_refused(node, reason):
    with pytest.raises(BadArgument, match=reason):
        to_chunk(node)


def test_a_loop_in_the_metadata_is_refused():
    loop = []
    loop.append(loop)
    node = TextNode(id_="n", text="x")
    node.metadata["loop"] = loop
    with pytest.raises(BadArgument, match=r"metadata\['loop'\]"):
        to_chunk(node)


def test_an_object_behind_an_index_node_comes_back():
    node = IndexNode(id_="n", index_id="i", text="x", obj=TextNode(id_="other", text="behind"))
    assert to_node(to_chunk(node)) == node


def test_a_node_is_changed_without_changing_the_chunk_it_was_made_of():
    """Lists and dicts in the metadata are copied; text and numbers need not be."""
    note = Note(note_id="n1", patient_id="p1", text="Gout.", metadata={"codes": ["M10"], "n": 1})
    chunk = make_chunk(note, 0, 0, 5, settings={})
    found = to_node(chunk)
    found.metadata["codes"].append("I50")
    found.metadata["n"] = 2
    assert chunk.metadata == note.metadata == {"codes": ["M10"], "n": 1}
    assert to_node(chunk).metadata["codes"] == ["M10"]
