"""A query becomes terms with reasons; what is odd costs no more than a bounded amount."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.retrievers.small_graph import small_graph, small_inventory

from drehr_rag.kg import Record
from drehr_rag.notes.folding import Folds, folded, words
from drehr_rag.retrievers._expansion import MOST, WEIGHTS, Expander
from drehr_rag.retrievers._linking import CONCEPTS, MENTIONS, READ, link, senses
from drehr_rag.retrievers._phrases import Passage, phrase_of
from drehr_rag.retrievers._terms import natural


@pytest.fixture
def graph(tmp_path, monkeypatch):
    return small_graph(tmp_path, monkeypatch)


@pytest.fixture
def inventory(tmp_path):
    return small_inventory(tmp_path)


def kinds(terms):
    return {term.text: term.kind for term in terms}


def test_an_abbreviation_finds_its_name_and_what_is_narrower(graph):
    assert kinds(Expander(graph).expand("CHF")) == {
        "congestive heart failure": "synonym",
        "systolic dysfunction": "hyponym",
        "HFrEF": "hyponym",
        "cor pulmonale": "hyponym",
        "right heart strain": "hyponym",
    }


def test_a_name_finds_its_abbreviation_which_is_matched_as_written(graph):
    terms = Expander(graph).expand("congestive heart failure")
    (short,) = [term for term in terms if term.kind == "abbreviation"]
    assert (short.text, short.of, short.concept) == ("CHF", "congestive heart failure", "D:1")
    assert Passage("known CHF, stable", Folds()).has(phrase_of(short), exact=short.exact)
    assert not Passage("known chf, stable", Folds()).has(phrase_of(short), exact=short.exact)


@pytest.mark.parametrize(
    ("query", "by", "found"),
    [
        ("Anaemia", "normalised", "low blood count"),
        ("anemias", "normalised", "low blood count"),
        ("abdominal pain upper", "normalised", "epigastric ache"),
        ("Anemia", "exact", "low blood count"),
        ("CHF", "abbreviation", "congestive heart failure"),
    ],
)
def test_a_query_is_linked_in_several_ways(graph, query, by, found):
    (mention,) = link(query, graph)
    assert (mention.text, mention.part, mention.meanings[0].by) == (query, 1.0, by)
    assert found in kinds(Expander(graph).expand(query))


def test_the_other_spelling_of_a_query_counts_as_its_own_words(graph):
    terms = {term.text: term for term in Expander(graph).expand("anaemia")}
    assert set(terms) == {"low blood count"}  # "anemia" folds to the query itself


def test_an_abbreviation_is_read_by_the_frequency_of_its_senses(graph, inventory):
    assert senses("MI", inventory) == {"myocardial infarction": 0.9, "mitral insufficiency": 0.1}
    terms = {term.text: term for term in Expander(graph, inventory).expand("MI")}
    assert terms["myocardial infarction"].kind == "abbreviation"
    assert terms["myocardial infarction"].weight > 5 * terms["mitral insufficiency"].weight
    assert terms["heart attack"].weight == pytest.approx(0.9 * WEIGHTS["synonym"])


def test_a_name_is_abbreviated_as_the_inventory_does(graph, inventory):
    assert kinds(Expander(graph, inventory).expand("heart attack"))["MI"] == "abbreviation"


@pytest.mark.parametrize(
    "query", ["was", "it", "or all", "all", "was it or all", "WAS IT OR ALL", "disease", "IT"]
)
def test_words_of_every_day_are_no_abbreviations(graph, inventory, query):
    assert Expander(graph, inventory).expand(query) == []


@pytest.mark.parametrize("query", ["WAS", "Gene therapy of WAS?", "was it WAS"])
def test_a_word_in_capitals_among_small_letters_is_an_abbreviation(graph, inventory, query):
    assert "wiskott-aldrich syndrome" in kinds(Expander(graph, inventory).expand(query))


def test_an_every_day_word_is_not_looked_for_as_an_abbreviation(graph, inventory):
    expander = Expander(graph, inventory)
    assert "ALL" not in kinds(expander.expand("acute lymphoblastic leukemia"))
    assert "WAS" not in kinds(expander.expand("wiskott-aldrich syndrome"))


def test_related_concepts_come_only_when_asked_for(graph):
    query = "acute lymphoblastic leukemia"
    assert Expander(graph).expand(query) == []
    wider = Expander(graph, weights={**WEIGHTS, "related": 0.3})
    assert kinds(wider.expand(query)) == {"vincristine": "related"}


def test_a_term_that_holds_a_shorter_one_is_left_out(graph):
    assert "acute heart attack" not in kinds(Expander(graph).expand("myocardial infarction"))


def test_parts_of_a_question_are_worth_their_share(graph):
    terms = Expander(graph).expand("does she have anemia or CHF with edema?")
    by_part = {term.of: term.weight for term in terms if term.kind == "synonym"}
    assert by_part == pytest.approx({"anemia": 0.3, "CHF": 0.3})


@pytest.mark.parametrize("steps", [0, 1, 2, 50])
def test_a_ring_ends_and_depth_is_kept(graph, steps):
    terms = kinds(Expander(graph, steps=steps).expand("CHF"))
    assert ("cor pulmonale" in terms) == (steps >= 1)
    assert ("right heart strain" in terms) == (steps >= 2)


def test_two_thousand_words_are_read_in_part(graph):
    query = "heart attack and anemia " * 500
    assert len(link(query, graph)) == MENTIONS
    assert len(link("xyzzy " * READ + "anemia", graph)) == 0
    assert len(Expander(graph).expand(query)) <= sum(MOST.values())


def test_a_name_of_a_thousand_concepts_is_bounded(tmp_path, monkeypatch):
    many = [Record(f"D:{i}", ("swelling", f"puffiness kind{i}")) for i in range(1000)]
    graph = small_graph(tmp_path, monkeypatch, many)
    terms = Expander(graph).expand("swelling")
    assert len(terms) == CONCEPTS
    assert {term.kind for term in terms} == {"synonym"}


def test_a_concept_of_thousands_of_narrower_ones_is_bounded(tmp_path, monkeypatch):
    many = [Record("D:0", ("tumorosis",))]
    many += [Record(f"D:{i}", (f"growth kind{i}",), parents=("D:0",)) for i in range(1, 3000)]
    terms = Expander(small_graph(tmp_path, monkeypatch, many)).expand("tumorosis")
    assert len(terms) == MOST["hyponym"]


@pytest.mark.parametrize(
    "query", ["心不全", "Herzinsuffizienz mit Ödemen", "x", "?!", "\u0301", "5"]
)
def test_what_the_graph_does_not_know_gives_nothing(graph, inventory, query):
    assert Expander(graph, inventory).expand(query) == []


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_can_be_folded_and_split(text):
    assert all(words(text))
    assert len(folded(text).split()) <= max(1, len(text))


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("Leucaemias", "leukemia"),
        ("haemorrhage of the oesophagus", "hemorrhage of the esophagus"),
        ("dyspnoea, diarrhoea", "dyspnea diarrhea"),
        ("Crohn\u2019s disease", "Crohn disease"),
    ],
)
def test_spelling_number_and_case_do_not_matter(british, american):
    assert folded(british) == folded(american)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Failure, Heart (disorder)", "Heart Failure"),
        ("Pain, NOS", "Pain"),
        ("Leukemia, Myeloid, Acute", "Leukemia, Myeloid, Acute"),
        ("(MI) infarct", "(MI) infarct"),
    ],
)
def test_names_are_put_as_notes_would_have_them(name, same):
    assert natural(name) == same
