"""`DrEhrNodeParser`: the core's chunks, standing where they stand in the raw note."""

import asyncio
import logging
import pickle

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import Document, ImageDocument, MediaResource, MetadataMode, TextNode

from drehr_rag import ward
from drehr_rag.errors import BadArgument, TracingRefused, UnknownName
from drehr_rag.integrations import _encoders
from drehr_rag.integrations.llama_index import DrEhrNodeParser
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.testing import HashEncoder

ENCODER = HashEncoder()
TWICE = "PLAN:\nStop heparin. Give fluids.\n\nMEDICATIONS:\nStop heparin. Give fluids.\n"


def document(text=TWICE, name="n1", **metadata):
    return Document(id_=name, text=text, metadata={"patient_id": "p1", **metadata})


def parser(**options):
    return DrEhrNodeParser(encoder=ENCODER, **options)


@pytest.mark.parametrize(
    ("chunker", "options"),
    [("sections", {}), ("sections", {"target_tokens": 20}), ("words", {"cleaning": "cliniq"})],
)
def test_the_chunks_are_the_cores(chunker, options):
    notes = ward.notes()
    core = load_chunker(
        chunker, count_tokens=ENCODER.count_tokens, max_tokens=ENCODER.max_tokens, **options
    )
    expected = [chunk for some in core.split(notes) for chunk in some]
    documents = [Document(id_=note.note_id, text=note.text) for note in notes]
    ours = parser(chunker=chunker, chunker_options=options)
    for nodes in (ours(documents), asyncio.run(ours.acall(documents))):
        assert [node.node_id for node in nodes] == [chunk.chunk_id for chunk in expected]
        assert [node.text for node in nodes] == [chunk.text for chunk in expected]
        for node, chunk in zip(nodes, expected, strict=True):
            assert (node.start_char_idx, node.end_char_idx) == (chunk.start, chunk.end)
            assert node.metadata.get("section") == chunk.section
            assert node.ref_doc_id == chunk.note_id


def test_offsets_of_the_same_words_in_two_sections():
    nodes = parser()([document()])
    found = [(node.metadata["section"], node.start_char_idx, node.end_char_idx) for node in nodes]
    assert [(name, TWICE[start:end]) for name, start, end in found] == [
        ("plan", "PLAN:\nStop heparin. Give fluids."),
        ("medications", "MEDICATIONS:\nStop heparin. Give fluids."),
    ]
    assert found[0][2] <= found[1][1]


def test_offsets_of_cleaned_text_point_at_the_words_that_were_written():
    raw = "Seen by [**First Name (Titles) 123**]   Smith.\n\n" + "heart  failure " * 90
    nodes = parser(chunker="words", chunker_options={"cleaning": "cliniq"})([document(raw)])
    assert len(nodes) == 2
    for node in nodes:
        written = raw[node.start_char_idx : node.end_char_idx]
        assert written.split()[-1] == node.text.split()[-1]
    assert nodes[0].text not in raw


def test_nothing_but_the_text_is_embedded_and_no_patient_is_shown():
    source = document(encounter_id="e1", ward="B2")
    source.excluded_llm_metadata_keys = ["ward"]
    for node in parser()([source]):
        assert node.metadata == {**source.metadata, "section": node.metadata["section"]}
        assert node.get_content(MetadataMode.EMBED) == node.text
        shown = node.get_content(MetadataMode.LLM)
        assert "section: " in shown
        for hidden in ("p1", "e1", "B2"):
            assert hidden not in shown
        for related in (node.source_node, node.next_node, node.prev_node):
            assert related is None or related.metadata == {}


def test_neighbours():
    first, second = parser()([document()])
    assert first.next_node.node_id == second.node_id
    assert second.prev_node.node_id == first.node_id
    assert first.prev_node is None and second.next_node is None
    assert all(node.next_node is None for node in parser(include_prev_next_rel=False)([document()]))
    other = parser()([document(), document(name="n2")])
    assert other[1].next_node is None and other[2].prev_node is None


def test_metadata_can_be_left_out_and_ids_be_ones_own():
    (first, _) = parser(include_metadata=False)([document()])
    assert first.metadata == {"section": "plan"}
    named = parser(id_func=lambda number, source: f"{source.node_id}/{number}")([document()])
    assert [node.node_id for node in named] == ["n1/0", "n1/1"]


def test_parts_of_a_document_are_cut_further_and_keep_their_place():
    raw = "PLAN:\nNone.\n\nHISTORY:\nGout. Fever. Gout.\n"
    (_, part) = parser()([document(raw)])
    smaller = parser(chunker_options={"target_tokens": 1})([part])
    assert [raw[node.start_char_idx : node.end_char_idx] for node in smaller] == [
        "HISTORY:",
        "Gout.",
        "Fever.",
        "Gout.",
    ]
    assert smaller[3].start_char_idx == raw.rindex("Gout.")
    assert {node.ref_doc_id for node in smaller} == {"n1"}
    part.start_char_idx = None
    assert {node.start_char_idx for node in parser()([part])} == {None}


def test_documents_without_text_are_counted(caplog):
    empty = [document(""), document(" \n", "n2"), Document(id_="n3"), ImageDocument(id_="n4")]
    with caplog.at_level(logging.WARNING):
        nodes = parser()([*empty, document(name="n5")])
    assert {node.ref_doc_id for node in nodes} == {"n5"}
    assert "4 documents hold no text" in caplog.text
    assert parser()([]) == []


def test_half_a_surrogate_pair_is_a_clear_error():
    bad = Document(id_="n1", text_resource=MediaResource(text="secret \ud800"))
    with pytest.raises(BadArgument, match="document 'n1': ") as error:
        parser()([bad])
    assert "secret" not in str(error.value)


def test_two_pages_of_the_same_words_are_two():
    pages = [document(name="n1/0", note_id="n1"), document(name="n1/1", note_id="n1")]
    nodes = parser()(pages)
    assert len({node.node_id for node in nodes}) == len(nodes) == 4
    assert [node.ref_doc_id for node in nodes] == ["n1/0", "n1/0", "n1/1", "n1/1"]
    assert [node for one in pages for node in parser()([one])] == nodes


def test_pages_that_nothing_tells_apart_are_one_or_refused():
    once, twice = parser()([document()]), parser()([document(), document()])
    assert twice == [*once, *once]
    with pytest.raises(BadArgument, match="document 'n1' differs from another of the same id"):
        parser()([document(page=0), document(name="n2"), document(page=1)])
    with pytest.raises(BadArgument, match="same id"):
        parser(id_func=lambda number, source: "x")([document()])


def test_many_documents_at_once():
    nodes = parser()([document(name=f"n{i}") for i in range(10_000)])
    assert len({node.node_id for node in nodes}) == 20_000


def hash_of(made):
    return get_transformation_hash([document()], made)


@pytest.mark.parametrize(
    "other",
    [
        parser(chunker="words"),
        parser(chunker_options={"target_tokens": 9}),
        parser(include_metadata=False),
        parser(include_prev_next_rel=False),
        parser(id_func=lambda number, source: str(number)),
        DrEhrNodeParser(encoder=HashEncoder(max_tokens=9)),
    ],
)
def test_the_hash_changes_with_what_changes_nodes(other):
    assert hash_of(other) != hash_of(parser())


@pytest.mark.parametrize("settings", [{}, {"device": "cuda"}, {"callback_manager": None}])
def test_the_hash_stays_with_what_does_not(settings):
    settings = {k: CallbackManager([]) if v is None else v for k, v in settings.items()}
    assert hash_of(parser(**settings)) == hash_of(parser())


def test_a_pickle_works_elsewhere(monkeypatch):
    monkeypatch.setattr(_encoders, "load_encoder", lambda name, **_: HashEncoder())
    _encoders._loaded.cache_clear()
    ours = parser(chunker_options={"target_tokens": 20})
    shipped = pickle.dumps(ours)
    _encoders._loaded.cache_clear()
    there = pickle.loads(shipped)
    assert len(shipped) < 2_000
    assert there([document()]) == ours([document()])
    assert hash_of(there) == hash_of(ours)
    _encoders._loaded.cache_clear()


def test_options_that_cannot_be_meant():
    with pytest.raises(UnknownName, match="no chunker"):
        parser(chunker="paragraphs")
    with pytest.raises(UnknownName, match="not size"):
        parser(chunker_options={"size": 9})
    with pytest.raises(BadArgument, match="target_tokens"):
        parser(chunker_options={"target_tokens": 0})


def test_a_tracer_is_refused():
    class Hosted(LlamaDebugHandler):
        pass

    ours = parser()
    ours.callback_manager = CallbackManager([Hosted(print_trace_on_end=False)])
    with pytest.raises(TracingRefused):
        ours([document()])


def test_text_nodes_of_others_are_cut_as_documents():
    nodes = parser()([TextNode(id_="n1", text=TWICE, metadata={"patient_id": "p1"})])
    assert [node.ref_doc_id for node in nodes] == ["n1", "n1"]
