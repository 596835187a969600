"""What is only denied sinks or is left out, in every mode; the rest stays as it was."""

import pytest
from conftest import make_chunk
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.retrievers.small_graph import small_graph

from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.notes.assertion_cues import KINDS
from drehr_rag.notes.folding import AMERICAN, Folds, folded, spaced, words
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._asserted import asserted
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.retrievers._mentions import ORDER, Wanted, words_of
from drehr_rag.retrievers._phrases import Passage, may_stand, places
from drehr_rag.stores import open_store
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Filters, Hit, Match, Patient

EVERYBODY = AllPatients(reason="test")
ENCODER = HashEncoder(dimension=16)
MODES = ("hybrid", "dense", "lexical", "rrf")
TEXTS = [
    "Denies chest pain.",
    "Chest pain since this morning, worse on exertion, with dyspnea and sweating.",
    "No chest pain or fever. Chest pain on exertion, though.",
    "Possible chest pain last night, according to her daughter, who called.",
    "Her mother has chest pain whenever she climbs the stairs to her flat.",
    "Walks her dog every day.",
    "Pain in the chest wall after a fall from a ladder two weeks ago.",
    "She denied any chest pain, nausea or vomiting.",
]
SAID = ["negated", "present", "present", "possible", "family", None, None, "negated"]
DENIED = {0, 7}


def filled(texts=TEXTS, patients=3):
    store = open_store(":memory:", manifest={"dimension": 16})
    chunks = [
        make_chunk(i, patient=f"p{i % patients}", note=f"n{i}", text=t) for i, t in enumerate(texts)
    ]
    digests = {chunk.note_id: ("d", 1) for chunk in chunks}
    store.upsert(chunks, ENCODER.encode_passages(texts), sparse_passages(texts), digests)
    return store


def asked(retriever, query="chest pain", *, scope=EVERYBODY, filters=NO_FILTERS, k=8):
    return retriever.retrieve([query], scope=scope, filters=filters, k=k)[0]


def number(hit):
    return int(hit.chunk.note_id[1:])


@pytest.fixture(scope="module")
def store():
    return filled()


@pytest.fixture(params=MODES)
def retriever(request, store):
    return load_retriever(request.param, encoder=ENCODER, store=store)


def test_every_hit_tells_what_its_chunk_says(retriever):
    hits = asked(asserted(retriever, "ranked"))
    assert {number(hit): hit.assertion for hit in hits}.items() <= dict(enumerate(SAID)).items()
    assert {number(hit) for hit in hits} >= set(range(5))


def test_what_is_only_denied_sinks_and_the_rest_keeps_its_order(retriever):
    plain, hits = asked(retriever), asked(asserted(retriever, "ranked"))
    assert sorted(map(number, hits)) == sorted(map(number, plain))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    kept = [hit for hit in hits if number(hit) not in DENIED]
    assert list(map(number, kept)) == [n for n in map(number, plain) if n not in DENIED]
    was = {number(hit): hit for hit in plain}
    assert all(hit.score == was[number(hit)].score for hit in kept)
    for hit in hits:
        assert hit.scores == was[number(hit)].scores
        if number(hit) in DENIED:
            assert hit.score < was[number(hit)].score


def test_what_is_there_stands_first(store):
    retriever = load_retriever("lexical", store=store)
    before = list(map(number, asked(retriever)))
    after = list(map(number, asked(asserted(retriever, "ranked"))))
    assert before.index(0) < before.index(1)
    assert after.index(0) > after.index(1)


def test_only_what_is_present_or_not_mentioned_is_left(retriever):
    plain, hits = asked(retriever), asked(asserted(retriever, "present"))
    assert {hit.assertion for hit in hits} <= {"present", None}
    assert list(map(number, hits)) == [n for n in map(number, plain) if n in (1, 2, 5, 6)]


def test_fewer_hits_are_the_first_of_more(retriever):
    for mode in ("ranked", "present"):
        told = asserted(retriever, mode)
        every = asked(told)
        for k in range(1, 8):
            assert asked(told, k=k) == every[:k]


def test_a_ranking_has_the_order_of_a_search(retriever):
    told = asserted(retriever, "ranked")
    where = {"scope": EVERYBODY, "filters": NO_FILTERS, "k": 8}
    (ranked,), hits = told.rank(["chest pain"], **where), asked(told)
    assert [(one.chunk_id, one.score) for one in ranked] == [
        (hit.chunk.chunk_id, hit.score) for hit in hits
    ]


def test_patients_who_only_deny_it_stand_behind():
    texts = ["Denies chest pain.", "Chest pain at rest, too.", "Mild chest pain, twice a day."]
    store = filled([*texts, "No chest pain."])
    retriever = load_retriever("lexical", store=store)
    where = {"scope": EVERYBODY, "filters": NO_FILTERS, "k": 3, "per_patient": 2}
    assert retriever.retrieve_patients("chest pain", **where)[0].patient_id == "p0"
    found = asserted(retriever, "ranked").retrieve_patients("chest pain", **where)
    assert [group.patient_id for group in found] == ["p1", "p2", "p0"]
    assert all(group.score == group.hits[0].score for group in found)
    found = asserted(retriever, "present").retrieve_patients("chest pain", **where)
    assert [group.patient_id for group in found] == ["p1", "p2"]


def test_others_are_looked_for_until_there_are_enough():
    texts = ["Denies chest pain."] * 300 + ["Chest pain at rest, with exertion and after meals."]
    retriever = load_retriever("lexical", store=filled(texts))
    (hit,) = asked(asserted(retriever, "present"), k=5)
    assert number(hit) == 300
    assert len(asked(asserted(retriever, "ranked"), k=5)) == 5
    where = {"scope": EVERYBODY, "filters": NO_FILTERS, "k": 2, "per_patient": 1}
    groups = asserted(retriever, "present").retrieve_patients("chest pain", **where)
    assert [group.patient_id for group in groups] in ([], ["p0"])


def test_scope_and_filters_hold(retriever):
    for mode in ("ranked", "present"):
        told = asserted(retriever, mode)
        hits = asked(told, scope=Patient("p1"))
        assert hits and {hit.chunk.patient_id for hit in hits} == {"p1"}
        assert {number(hit) for hit in asked(told, filters=Filters(note_ids=("n1",)))} == {1}
        assert asked(told, scope=Patient("stranger")) == []


@pytest.mark.parametrize("query", ["no chest pain", "denies chest pain", "chest pain is absent"])
def test_who_looks_for_a_denial_gets_it(retriever, query):
    assert asked(asserted(retriever, "present"), query) == asked(retriever, query)


@pytest.mark.parametrize("query", ["İ İ", "was it or all", "心不全", "...a", "chest " * 2000])
def test_any_query_is_bounded(retriever, query):
    hits = asked(asserted(retriever, "ranked"), query)
    assert list(map(number, hits)) == list(map(number, asked(retriever, query)))


def test_an_unknown_mode_is_refused(retriever):
    assert asserted(retriever, "any") is retriever
    with pytest.raises(BadArgument, match="one of ranked, present, any, not 'absent'"):
        asserted(retriever, "absent")


def test_terms_of_a_graph_count_as_the_query_does(tmp_path, monkeypatch):
    texts = ["No CHF.", "CHF on lasix, seen at home", "denies congestive heart failure; has CHF"]
    retriever = load_retriever(
        "expanded", encoder=ENCODER, store=filled(texts), graph=small_graph(tmp_path, monkeypatch)
    )
    hits = asked(asserted(retriever, "ranked"), "congestive heart failure")
    assert {number(hit): hit.assertion for hit in hits} == {
        0: "negated",
        1: "present",
        2: "present",
    }
    assert number(hits[-1]) == 0


@pytest.mark.parametrize(
    ("text", "section", "term", "said"),
    [
        ("İstanbul: denies FEVER", None, None, "negated"),
        ("fevers", None, None, "present"),
        ("Fever", "Family History", None, "family"),
        ("No fever, no pyrexia", None, "pyrexia", "negated"),
        ("No fever, but pyrexia", None, "pyrexia", "present"),
        ("no FUO", None, "FUO", "negated"),
        ("no fuo", None, "FUO", None),
        ("call us if fever returns", None, None, "conditional"),
        ("", None, None, None),
    ],
)
def test_what_a_chunk_says_of_fever(text, section, term, said):
    chunk = make_chunk(1, text=text, section=section)
    matches = (Match(term, "synonym", "fever"),) if term else ()
    assert Wanted.of("fever").said(Hit(chunk, 1.0, {}, matches)) == said


def test_every_status_has_its_place():
    assert set(ORDER) == {"present", *KINDS}


def test_an_index_tells_denials_apart_unless_told_not_to():
    with EhrIndex.open(":memory:", encoder=ENCODER) as index:
        texts = ["Denies chest pain.", "Chest pain since the morning, at rest, in bed."]
        index.store.upsert(
            chunks := [make_chunk(i, note=f"n{i}", text=text) for i, text in enumerate(texts)],
            ENCODER.encode_passages(texts),
            sparse_passages(texts),
            {chunk.note_id: ("d", 1) for chunk in chunks},
        )

        def found(**how):
            hits = index.search("chest pain", scope=EVERYBODY, mode="lexical", **how)
            return [(number(hit), hit.assertion) for hit in hits]

        assert found() == [(1, "present"), (0, "negated")]
        assert found(assertion="any") == [(0, None), (1, None)]
        assert found(assertion="present") == [(1, "present")]
        patients = index.search_patients(
            "chest pain", scope=EVERYBODY, mode="lexical", assertion="present"
        )
        assert [number(hit) for group in patients for hit in group.hits] == [1]
        with pytest.raises(BadArgument, match="assertion is one of"):
            found(assertion="denied")


PIECES = [*AMERICAN, *AMERICAN.values(), "pain", "Crohn", "s", "ss", "'s", "\u2019s", " ", "-"]
PIECES += ["\u0130", "\u00df"]
WRITTEN = [*PIECES, "MI", "mi"]
JOINED = [
    "heart",
    "failure",
    "pain",
    "gas",
    "s",
    "'",
    "\u2019",
    "'s",
    "s's",
    " ",
    " ",
    "_",
    " - ",
    "\n",
]


@settings(max_examples=300, deadline=None)
@given(before=st.lists(st.sampled_from(PIECES)), said=st.lists(st.sampled_from(PIECES), min_size=1),
       other=st.lists(st.sampled_from(PIECES)))  # fmt: skip
def test_a_text_that_is_not_read_has_no_mention(before, said, other):
    """The quick look at letters passes over nothing that the slow one would find."""
    text = "".join([*before, " ", *said, " ", *other])
    phrase = folded("".join(other[: len(other) // 2] or said))
    if phrase.strip() and list(words_of(text).places(phrase, exact=False)):
        assert may_stand(phrase, text.lower())


@settings(max_examples=300, deadline=None)
@given(text=st.lists(st.sampled_from(WRITTEN)), said=st.lists(st.sampled_from(WRITTEN), min_size=1),
       exact=st.booleans())  # fmt: skip
def test_a_phrase_that_stands_letter_by_letter_stands_as_words(text, said, exact):
    """The quick ways answer as reading every word does."""
    whole, part = " ".join(text), "".join(said)
    phrase = spaced(words(part)) if exact else folded(part)
    slow = spaced(words(whole)) if exact else folded(whole)
    if phrase.strip():
        assert Passage(whole, Folds()).has(phrase, exact=exact) == (phrase in slow)


@settings(max_examples=600, deadline=None)
@given(text=st.lists(st.sampled_from(JOINED), max_size=12), exact=st.booleans(),
       said=st.lists(st.sampled_from(JOINED[:5]), min_size=1, max_size=3))  # fmt: skip
def test_places_found_by_letters_are_those_found_by_words(text, said, exact):
    """Whatever apostrophes, plurals and rules stand between the letters."""
    whole, phrase = "".join(text), spaced(said)
    slow = list(words_of(whole).places(phrase, exact=exact))
    quick = places(phrase, whole, exact=exact)
    assert quick in (None, slow)
    assert Passage(whole, Folds()).has(phrase, exact=exact) == bool(slow)
