"""Citations, evidence and passages as sets of characters."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.records import Evidence
from drehr_rag.eval.qa.scores.agreement import Agreement, figures
from drehr_rag.eval.qa.scores.citations import by_character, by_sentence
from drehr_rag.eval.qa.scores.evidence import found, hit_at, recall_at
from drehr_rag.notes.sentences import sentence_spans

TEXT = "Gout. On allopurinol. No fever. Home."
#       0    5 6             21 22    31


def place(start, end, note_id="n1"):
    return SimpleNamespace(note_id=note_id, start=start, end=end)


places = st.lists(
    st.builds(
        lambda note, start, size: place(start, start + size, note),
        st.sampled_from(["n1", "n2"]),
        st.integers(0, 30),
        st.integers(1, 12),
    ),
    max_size=5,
)


def characters(found):
    return {(p.note_id, i) for p in found for i in range(p.start, p.end)}


@given(places, places)
def test_by_character_against_sets(cited, evidence):
    ours, theirs = characters(cited), characters(evidence)
    assert by_character(cited, evidence) == Agreement(len(ours & theirs), len(ours), len(theirs))


@given(places, places)
def test_by_sentence_against_sets(cited, evidence):
    texts = {"n1": TEXT * 2, "n2": TEXT[6:] * 2}

    def sentences(found):
        return {
            (note_id, span)
            for note_id, text in texts.items()
            for span in sentence_spans(text)
            if characters([place(*span, note_id)]) & characters(found)
        }

    ours, theirs = sentences(cited), sentences(evidence)
    counts = Agreement(len(ours & theirs), len(ours), len(theirs))
    assert by_sentence(texts)(cited, evidence) == counts


@given(places, places)
def test_what_counts_as_found_against_sets(evidence, passages):
    read = characters(passages)
    for piece in evidence:
        own = characters([piece])
        assert found(piece, passages) == (2 * len(own & read) >= len(own))


def test_by_hand():
    agreement = by_character([place(0, 10), place(5, 12)], [place(8, 20), place(0, 4, "n2")])
    assert agreement == Agreement(shared=4, cited=12, right=16)
    assert (agreement.precision, agreement.recall) == (4 / 12, 4 / 16)
    assert agreement.f1 == pytest.approx(2 * (4 / 12) * (4 / 16) / (4 / 12 + 4 / 16))
    sentences = by_sentence({"n1": TEXT})
    assert sentences([place(0, 8)], [place(10, 24)]) == Agreement(1, 2, 2)


def test_shares_of_nothing_are_none():
    nothing = Agreement(0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None)
    assert Agreement(0, 0, 5).precision is None and Agreement(0, 0, 5).f1 == 0
    assert set(figures([]).values()) == {None}


def test_micro_adds_and_macro_averages():
    numbers = figures([Agreement(1, 1, 1), Agreement(0, 3, 1), Agreement(0, 0, 2)])
    assert (numbers["precision"], numbers["recall"], numbers["f1"]) == (1 / 4, 1 / 4, 1 / 4)
    assert numbers["macro_f1"] == pytest.approx(1 / 3)


def test_a_note_that_was_not_given():
    with pytest.raises(EvaluationError, match="note n9 is cited but is not among the notes given"):
        by_sentence({"n1": TEXT})([place(0, 2, "n9")], [])


def test_evidence_among_the_first_passages():
    evidence = [Evidence(note_id="n1", start=10, end=20), Evidence(note_id="n2", start=0, end=4)]
    passages = [place(0, 14), place(14, 15), place(0, 2, "n2")]
    assert [recall_at(k, evidence, passages) for k in (1, 2, 3)] == [0, 0.5, 1]
    assert [hit_at(k, evidence, passages) for k in (1, 2, 3)] == [0, 1, 1]
