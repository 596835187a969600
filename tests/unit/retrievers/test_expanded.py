"""Mode expanded: finds by other words, says why, and loses nothing that hybrid finds."""

import numpy as np
import pytest
from conftest import make_chunk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.retrievers.small_graph import small_graph, small_inventory

from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.notes.folding import folded
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.retrievers._named_vectors import NamedVectors
from drehr_rag.stores import open_store
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Filters, Patient

EVERYBODY = AllPatients(reason="test")
ENCODER = HashEncoder(dimension=16)
TEXTS = [
    "the heart is a muscle",
    "admitted with congestive heart failure",
    "history of CHF on lasix",
    "HFrEF with an ejection fraction of 20",
    "failure to thrive",
    "heart attack last year",
    "low blood count noted",
    "the chf form was filled in",
]


def filled(store, texts=TEXTS):
    chunks = [make_chunk(i, patient=f"p{i % 3}", note=f"n{i}", text=t) for i, t in enumerate(texts)]
    digests = {chunk.note_id: ("d", 1) for chunk in chunks}
    store.upsert(chunks, ENCODER.encode_passages(texts), sparse_passages(texts), digests)
    return store


@pytest.fixture
def graph(tmp_path, monkeypatch):
    return small_graph(tmp_path, monkeypatch)


def expanded(store, graph, **options):
    given = {"graph": graph, "abbreviations": (), **options}
    return load_retriever("expanded", encoder=ENCODER, store=store, **given)


def asked(retriever, query, *, scope=EVERYBODY, filters=NO_FILTERS, k=8):
    return retriever.retrieve([query], scope=scope, filters=filters, k=k)[0]


def test_other_words_are_found_and_hits_say_why(new_store, graph):
    store = filled(new_store(16))
    hits = asked(expanded(store, graph, dense_share=0.0), "congestive heart failure")
    assert [hit.chunk.text for hit in hits[:3]] == [TEXTS[1], TEXTS[2], TEXTS[3]]
    assert hits[0].matches == ()
    found = [(m.term, m.kind, m.of, m.concept) for hit in hits[1:3] for m in hit.matches]
    assert found == [
        ("CHF", "abbreviation", "congestive heart failure", "D:1"),
        ("HFrEF", "hyponym", "congestive heart failure", "D:2"),
    ]
    assert set(hits[1].scores) >= {"expanded"}
    assert all(not hit.matches for hit in hits if hit.chunk.text == TEXTS[7])  # "chf" in small


def test_scope_and_filters_hold(new_store, graph):
    retriever = expanded(filled(new_store(16)), graph)
    hits = asked(retriever, "congestive heart failure", scope=Patient("p2"))
    assert {hit.chunk.patient_id for hit in hits} == {"p2"}
    assert hits[0].chunk.text == TEXTS[2]
    hits = asked(retriever, "congestive heart failure", filters=Filters(note_ids=("n3",)))
    assert [hit.chunk.text for hit in hits] == [TEXTS[3]]
    assert asked(retriever, "congestive heart failure", scope=Patient("stranger")) == []


def test_patients_are_found_by_other_words(new_store, graph):
    retriever = expanded(filled(new_store(16)), graph, dense_share=0.0)
    asked_for = {"scope": EVERYBODY, "filters": NO_FILTERS, "k": 2, "per_patient": 1}
    found = retriever.retrieve_patients("congestive heart failure", **asked_for)
    assert [(one.patient_id, one.hits[0].chunk.text) for one in found] == [
        ("p1", TEXTS[1]),
        ("p2", TEXTS[2]),
    ]
    assert found[1].hits[0].matches[0].kind == "abbreviation"


def test_a_ranking_has_the_order_of_a_search(new_store, graph, tmp_path):
    store = filled(new_store(16), TEXTS * 3)
    retriever = expanded(store, graph, abbreviations=small_inventory(tmp_path))
    for query in ("CHF", "anemia", "heart attack", "nothing known", "the heart"):
        where = {"scope": EVERYBODY, "filters": NO_FILTERS, "k": 20}
        hits, ranked = retriever.retrieve([query], **where), retriever.rank([query], **where)
        assert [h.chunk.chunk_id for h in hits[0]] == [r.chunk_id for r in ranked[0]]
        assert [h.scores for h in hits[0]] == [r.scores for r in ranked[0]]


def test_what_the_graph_does_not_know_is_searched_for_as_hybrid_does(new_store, graph):
    store = filled(new_store(16))
    hybrid = load_retriever("hybrid", encoder=ENCODER, store=store)
    for query in ("failure to thrive", "was it or all", "心不全", "form " * 2000):
        assert asked(expanded(store, graph), query) == asked(hybrid, query)


WORDS = st.sampled_from("heart failure congestive CHF HFrEF anemia low blood count attack".split())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(st.lists(WORDS, min_size=1, max_size=7).map(" ".join), min_size=1, max_size=12),
    query=st.sampled_from(["congestive heart failure", "anemia", "heart attack", "CHF"]),
)
def test_string_hits_are_never_lost(graph, texts, query):
    """What has the query's own words stands before all that has only other words."""
    store = filled(open_store(":memory:", manifest={"dimension": 16}), texts)
    hits = asked(expanded(store, graph, dense_share=0.0), query, k=50)
    own = [folded(query) in folded(hit.chunk.text) for hit in hits]
    assert sum(own) == sum(folded(query) in folded(text) for text in texts)
    assert own == sorted(own, reverse=True)


def test_other_names_can_go_into_the_query_s_vector(graph):
    """A unit vector between the query's own and the mean of its names'; without a name its own."""
    expander = expanded(None, graph).expander
    names = {t.text for t in expander.expand("low blood count") if t.kind == "synonym"}
    (own, unknown), others = (
        ENCODER.encode_queries(["low blood count", "xyzzy"]),
        ENCODER.encode_queries(sorted(names)),
    )
    assert names
    mixed = NamedVectors(ENCODER, expander, 0.4).encode_queries(["low blood count", "xyzzy"])
    expected = 0.6 * own + 0.4 * others.mean(axis=0)
    assert np.allclose(mixed, [expected / np.linalg.norm(expected), unknown], atol=1e-6)
    assert len(NamedVectors(ENCODER, expander, 0.4).encode_queries([])) == 0


def test_without_a_graph_the_packaged_one_is_asked(new_store):
    store = filled(new_store(16))
    retriever = load_retriever("expanded", encoder=ENCODER, store=store, dense_share=0.0)
    hits = asked(retriever, "CHF")
    assert TEXTS[1] in [hit.chunk.text for hit in hits[:3]]
    kinds = {m.term: m.kind for hit in hits for m in hit.matches}
    assert kinds["heart failure"] == "synonym"
    by_letters = asked(expanded(store, "packaged"), "CHF")  # and no inventory: ICD-9 knows no CHF
    assert by_letters != hits


def test_options_are_checked(new_store, graph, tmp_path):
    store = new_store(16)
    with pytest.raises(GraphError):
        expanded(store, tmp_path / "nowhere")
    with pytest.raises(BadArgument, match="not of 'antonym'"):
        expanded(store, graph, weights={"antonym": 0.5})
    with pytest.raises(BadArgument, match="from 0 to 1, not 2"):
        expanded(store, graph, weights={"synonym": 2})
    for wrong in ({"dense_share": 7}, {"steps": -1}, {"dense_names": 2}, {"graph": None}):
        with pytest.raises(BadArgument):
            load_retriever("expanded", **{"encoder": ENCODER, "store": store, **wrong})
    assert expanded(store, str(graph.folder)).expand("CHF")
