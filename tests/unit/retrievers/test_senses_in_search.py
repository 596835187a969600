"""Mode expanded: an abbreviation counts for what it means where it stands."""

from dataclasses import replace

import pytest
from conftest import make_chunk
from unit.retrievers.small_graph import small_graph

from drehr_rag.kg import Record
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.senses import Senses
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.retrievers._expansion import WEIGHTS, Expander
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Patient

EVERYBODY = AllPatients(reason="test")
ENCODER = HashEncoder(dimension=16)
RECORDS = [
    Record("D:1", ("prothrombin time", "clotting time")),
    Record("D:2", ("physical therapy",)),
    Record("D:3", ("coagulation study",)),
    Record("D:4", ("quick test", "PT"), parents=("D:3",), preferred="prothrombin"),
]
INVENTORY = """\
abbreviation\tsense\tvariation\tCUI\tfrequency
pt\tpatient\tpt_9\tC0030705\t1.0
"""
SENSES = """\
physical therapy\tPT=0.6\tconsult=2 §plan=2
prothrombin time|prothrombin\tPT=0.3\tinr=2 §laboratory=2 consult=-2
patient\tpt=1 PT=0.1\tstate=2
"""
TEXTS = [
    "PT 14.2, INR 1.1 on arrival",
    "seen by PT on consult",
    "PT states that it hurts",
    "PT as before",
    "no letters here",
]


@pytest.fixture
def graph(tmp_path, monkeypatch):
    return small_graph(tmp_path, monkeypatch, RECORDS)


def inventory(tmp_path, *, told=True):
    (tmp_path / "counted.tsv").write_text(INVENTORY)
    (tmp_path / "senses.tsv").write_text(SENSES)
    return Inventory([tmp_path / "counted.tsv"], Senses(tmp_path / "senses.tsv") if told else None)


def searcher(store, graph, known, texts=TEXTS, sections=()):
    chunks = [make_chunk(i, patient=f"p{i}", note=f"n{i}", text=t) for i, t in enumerate(texts)]
    if sections:
        chunks = [replace(c, section=s) for c, s in zip(chunks, sections, strict=True)]
    digests = {chunk.note_id: ("d", 1) for chunk in chunks}
    store.upsert(chunks, ENCODER.encode_passages(texts), sparse_passages(texts), digests)
    return load_retriever(
        "expanded",
        encoder=ENCODER,
        store=store,
        graph=graph,
        abbreviations=known,
        dense_share=0.0,
    )


def found(retriever, query, scope=EVERYBODY):
    (hits,) = retriever.retrieve([query], scope=scope, filters=NO_FILTERS, k=9)
    return {hit.chunk.text: {m.term: m.weight for m in hit.matches} for hit in hits}


def test_the_words_around_tell_and_the_match_says_the_weight(new_store, graph, tmp_path):
    retriever = searcher(new_store(16), graph, inventory(tmp_path))
    told = {text: terms["PT"] for text, terms in found(retriever, "clotting time").items() if terms}
    assert next(iter(told)) == TEXTS[0]
    assert told[TEXTS[0]] > 0.6 * WEIGHTS["abbreviation"]
    assert told[TEXTS[3]] == pytest.approx(0.3 * WEIGHTS["abbreviation"])
    assert TEXTS[1] not in told  # a therapist, by "consult": no match at all
    assert max(told.values()) <= WEIGHTS["abbreviation"]


def test_the_heading_tells(new_store, graph, tmp_path):
    texts = ["PT as before", "PT as usual", "PT as ever"]
    sections = ["laboratory", "plan", None]
    retriever = searcher(new_store(16), graph, inventory(tmp_path), texts, sections)
    best = [next(iter(found(retriever, query))) for query in ("clotting time", "physical therapy")]
    assert best == texts[:2]


def test_what_is_narrower_is_told_apart_too(new_store, graph, tmp_path):
    retriever = searcher(new_store(16), graph, inventory(tmp_path))
    told = {
        text: terms["PT"] for text, terms in found(retriever, "coagulation study").items() if terms
    }
    assert next(iter(told)) == TEXTS[0] and TEXTS[1] not in told


def test_the_words_of_the_query_tell_what_it_means(graph, tmp_path):
    def weights(query):
        return {t.text: t.weight for t in Expander(graph, inventory(tmp_path)).expand(query)}

    alone, beside = weights("PT"), weights("PT consult")
    assert alone["physical therapy"] > alone["prothrombin time"] > 0
    assert "prothrombin time" not in beside
    laboratory = weights("PT INR")
    assert laboratory["prothrombin time"] > laboratory["physical therapy"]


def test_without_a_table_all_is_as_it_was(new_store, graph, tmp_path):
    known = inventory(tmp_path, told=False)
    retriever = searcher(new_store(16), graph, known)
    assert not any(found(retriever, "clotting time").values())
    (term,) = [t for t in Expander(graph, known).expand("coagulation study") if t.text == "PT"]
    assert (term.weight, term.sense) == (pytest.approx(WEIGHTS["hyponym"]), None)


def test_it_stays_inside_the_scope(new_store, graph, tmp_path):
    retriever = searcher(new_store(16), graph, inventory(tmp_path))
    assert set(found(retriever, "clotting time", Patient("p3"))) == {TEXTS[3]}


def test_a_note_full_of_abbreviations_is_read_in_part(new_store, graph, tmp_path):
    texts = ["PT " * 4000 + "INR", "INR PT"]
    told = found(searcher(new_store(16), graph, inventory(tmp_path), texts), "clotting time")
    assert told[texts[0]]["PT"] == pytest.approx(0.3 * WEIGHTS["abbreviation"])
    assert told[texts[1]]["PT"] > told[texts[0]]["PT"]
