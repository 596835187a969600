"""What an annotator said is stored with the chunks, and goes before the rules everywhere."""

import json

import pytest
from how_often import tried
from hypothesis import given
from hypothesis import strategies as st
from qdrant_loopback import Loopback

from drehr_rag import AllPatients, EhrIndex, Note, Patient
from drehr_rag.notes.annotators import annotated
from drehr_rag.qa.claims import Claim
from drehr_rag.qa.marking import marks
from drehr_rag.qa.passages import pack
from drehr_rag.qa.verifying import verified
from drehr_rag.stores._copy import copy_store
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Mention

EVERYBODY = AllPatients(reason="test")
TEXTS = [
    "PLAN:\nChest pain is not what she has.",  # no rule reads this as a denial
    "PLAN:\nDenies chest pain, she says, but points at her heart.",  # rules take it for one
    "PLAN:\nChest pain since Monday.",
    "PLAN:\nDenies chest pain.",
]
SAID = ["negated", "present", None, None]  # of the first two; rules read the others
EXPECTED = {"n0": "negated", "n1": "present", "n2": "present", "n3": "negated"}
BY_RULES = {"n0": "present", "n1": "negated", "n2": "present", "n3": "negated"}


def annotate(text):
    status = SAID[TEXTS.index(text)]
    start = text.lower().index("chest pain")
    return [Mention(start, start + 10, status)] if status else []


def notes():
    return [Note(note_id=f"n{i}", patient_id=f"p{i % 2}", text=t) for i, t in enumerate(TEXTS)]


def said(index, mode="lexical", **options):
    hits = index.search("chest pain", scope=EVERYBODY, mode=mode, **options)
    return {hit.chunk.note_id: hit.assertion for hit in hits}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("annotated") / "a.idx"
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        index.add(annotated(iter(notes()), annotate))
    return place


@pytest.fixture
def index(folder):
    with EhrIndex.open(folder, encoder=HashEncoder()) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["lexical", "hybrid", "dense", "rrf", "expanded"])
def test_what_was_stored_speaks_in_every_mode(index, mode):
    assert said(index, mode) == EXPECTED
    assert said(index, mode, assertion="present") == {"n1": "present", "n2": "present"}
    assert set(said(index, mode, assertion="any").values()) == {None}


def test_what_is_denied_sinks_and_patients_who_have_it_stay(index):
    first = list(said(index))
    assert set(first[:2]) == {"n1", "n2"}
    found = index.search_patients("chest pain", scope=EVERYBODY, mode="lexical",
                                  assertion="present")  # fmt: skip
    assert {hit.chunk.note_id for one in found for hit in one.hits} == {"n1", "n2"}


@pytest.mark.parametrize("chunker", ["sections", "words"])
def test_words_that_were_cleaned_are_found_in_the_note(chunker):
    text = "PLAN:\r\n[**2180-5-7**]  CHEST\r\n  pain is not what she has ___ ."
    start, end = text.index("CHEST"), text.index(" is not")
    note = Note(note_id="n1", patient_id="p1", text=text, mentions=[Mention(start, end, "family")])
    with EhrIndex.open(":memory:", encoder=HashEncoder(), chunker=chunker) as index:
        index.add([note])
        (hit,) = index.search("chest pain", scope=Patient("p1"), mode="lexical")
    assert hit.assertion == "family"
    assert [text[m.start : m.end] for m in hit.chunk.mentions] == [text[start:end]]


def test_a_new_annotation_changes_a_note_and_the_same_one_does_not(tmp_path):
    with EhrIndex.open(tmp_path / "a.idx", encoder=HashEncoder()) as index:
        assert index.add(notes()).indexed == 4
        assert said(index) == BY_RULES
        report = index.add(annotated(notes(), annotate))
        assert (report.replaced, report.unchanged) == (2, 2)
        assert said(index) == EXPECTED
        assert index.add(annotated(notes(), annotate)).unchanged == 4
        assert index.add(notes()).replaced == 2
        assert said(index) == BY_RULES


def test_a_copy_keeps_them_and_a_served_store(folder, tmp_path):
    with Loopback(strict=True) as server:
        for target in (str(tmp_path / "copy.idx"), f"{server.url}/copy"):
            copy_store(str(folder), target)
            with EhrIndex.open(target, encoder=HashEncoder()) as copy:
                assert said(copy) == EXPECTED
        with EhrIndex.open(f"{server.url}/own", encoder=HashEncoder()) as own:
            own.add(annotated(notes(), annotate))
            assert said(own) == EXPECTED


def test_it_is_read_from_json_lines(tmp_path):
    file = tmp_path / "annotated.jsonl"
    file.write_text("".join(n.model_dump_json() + "\n" for n in annotated(notes(), annotate)))
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        assert index.add(file).indexed == 4
        assert said(index) == EXPECTED


# -- answers -------------------------------------------------------------------------------------


def passages_of(index, note_id):
    hits = index.search("chest pain", scope=EVERYBODY, mode="lexical", assertion="any")
    return pack([hit for hit in hits if hit.chunk.note_id == note_id]).passages


def test_a_citation_tells_what_was_stored(index):
    for note_id, expected in EXPECTED.items():
        passages = passages_of(index, note_id)
        quote = "chest pain"
        (found,), refused = verified(Claim("She has it.", (1,), quote), passages, "Chest pain?")
        assert (found.assertion, refused) == (expected, None), note_id


def test_the_generator_reads_what_was_stored(index):
    told = {n: passages_of(index, n)[0].marks for n in EXPECTED}
    assert told["n0"].startswith('denied or absent: "Chest pain"')
    assert told["n1"] == ""
    assert told["n3"] == 'denied or absent: "chest pain"'


def test_chunks_that_become_one_passage_keep_all_their_mentions():
    text = "PLAN:\n" + "Chest pain is not what she has. Gout, her father. " * 6
    spans = [i for i in range(len(text)) if text.startswith("Chest pain", i)]
    note = Note(note_id="n1", patient_id="p1", text=text,
                mentions=[Mention(i, i + 10, "negated") for i in spans])  # fmt: skip
    options = {"chunker": "words", "chunker_options": {"size": 20, "overlap": 10}}
    with EhrIndex.open(":memory:", encoder=HashEncoder(), **options) as index:
        index.add([note])
        hits = index.search("chest pain", scope=EVERYBODY, mode="lexical")
    (passage,) = pack(hits).passages
    assert len(hits) > 2 and passage.chunk.mentions == note.mentions


WORDS = "Denies fever or chest pain. Possible gout, stroke in her mother. No rash."


@tried(150)
@given(st.lists(st.tuples(st.integers(0, 70), st.integers(1, 9),
                          st.sampled_from(["present", "negated", "family"]))))  # fmt: skip
def test_marks_never_speak_against_what_is_known(known):
    mentions = [Mention(a, min(a + n, len(WORDS)), status) for a, n, status in known]
    line = marks(WORDS, known=mentions)
    if not mentions:
        assert line == marks(WORDS)
    alone = [m for m in mentions if m.status == "present"]
    for one in alone:
        words = " ".join(WORDS[one.start : one.end].split()).strip(" .,;:-")
        if len(words) > 6 and sum(m.start < one.end and one.start < m.end for m in mentions) == 1:
            assert words not in line


# -- frameworks ----------------------------------------------------------------------------------


def test_langchain(index):
    langchain = pytest.importorskip("drehr_rag.integrations.langchain")
    retriever = langchain.DrEhrRetriever(index=index, scope=EVERYBODY, mode="lexical",
                                         explain=True)  # fmt: skip
    found = {d.metadata["note_id"]: d.metadata["assertion"] for d in retriever.invoke("chest pain")}
    assert found == EXPECTED
    present = retriever.invoke("chest pain", assertion="present")
    assert {d.metadata["note_id"] for d in present} == {"n1", "n2"}
    json.dumps([d.metadata for d in present])


def test_llama_index(index):
    llama = pytest.importorskip("drehr_rag.integrations.llama_index")
    retriever = llama.DrEhrRetriever(index=index, scope=EVERYBODY, mode="lexical", explain=True)
    nodes = retriever.retrieve("chest pain")
    found = {node.metadata["note_id"]: node.metadata["assertion"] for node in nodes}
    assert found == EXPECTED
