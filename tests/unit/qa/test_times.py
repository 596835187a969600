"""Words of time in a question, and what they do to the order of the hits."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.qa import Settings
from drehr_rag.qa.retrieving import retrieve
from drehr_rag.qa.steering import steer
from drehr_rag.qa.times import When, times
from drehr_rag.types import Chunk, Hit


def asked(question):
    return [(when.words, when.prefers) for when in times(question)]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What is the LATEST creatinine?", [("LATEST", "later")]),
        ("What was the most\nrecent potassium?", [("most recent", "later")]),
        ("Which drugs is she taking now?", [("now", "later")]),
        ("What was the last dose?", [("last", "later")]),
        ("What was the first lactate?", [("first", "earlier")]),
        ("What was the temperature on admission?", [("on admission", "admission")]),
        ("How was she at presentation?", [("at presentation", "admission")]),
        ("What was he given on discharge?", [("on discharge", "discharge")]),
        ("Which discharge medications?", [("discharge medications", "discharge")]),
        ("What did she take before admission?", [("before admission", "before admission")]),
        ("What did she take at home?", [("at home", "before admission")]),
        (
            "How did it go from admission, or on arrival, to discharge at discharge?",
            [("on arrival", "admission"), ("at discharge", "discharge")],
        ),
        ("Was she well in March 2024?", [("March 2024", "written")]),
        ("Why was enoxaparin stopped?", []),
        ("Which first-line drug in the last 3 years, and what last night?", []),
        ("Does she know? May she resume aspirin? Did the syncope last long-", [("last", "later")]),
        ("Is 3/5 a date or a grade?", []),
    ],
)
def test_the_words_of_a_question(question, found):
    assert asked(question) == found


@pytest.mark.parametrize(
    ("question", "date"),
    [
        ("What happened on 2024-03-05?", (2024, 3, 5)),
        ("What happened in 2024-03?", (2024, 3, None)),
        ("What happened on 5 March?", (None, 3, 5)),
        ("What happened on the 5th of March 2024?", (2024, 3, 5)),
        ("What happened on March 5th, 2024?", (2024, 3, 5)),
        ("What happened on Mar 5?", (None, 3, 5)),
        ("What happened in Sept. 2023?", (2023, 9, None)),
        ("What happened in March?", (None, 3, None)),
        ("What happened during the May admission?", (None, 5, None)),
        ("What happened in 2023?", (2023, None, None)),
    ],
)
def test_a_date_is_one_time_as_full_as_it_was_said(question, date):
    (when,) = times(question)
    assert (when.prefers, (when.year, when.month, when.day)) == ("written", date)


def hit(name, score, written=None, kind=None, section=None, patient="p", stay="e"):
    moment = datetime.fromisoformat(written) if written else None
    return Hit(Chunk(name, name, patient, 0, 1, name, name, stay, kind, section, moment), score)


def order(hits, *prefers, **date):
    steered, used = steer(hits, [When("w", one, **date) for one in prefers])
    assert sorted(one.chunk.chunk_id for one in steered) == sorted(h.chunk.chunk_id for h in hits)
    return "".join(one.chunk.chunk_id for one in steered), [one.raised for one in used]


STAY = [
    hit("b", 0.93, "2024-03-06", "Progress note"),
    hit("a", 0.92, "2024-03-02", "Admission note", "review of systems"),
    hit("h", 0.91, "2024-03-02", "Admission note", "medications"),
    hit("d", 0.90, "2024-03-09", "Discharge summary"),
]


@pytest.mark.parametrize(
    ("prefers", "found", "raised"),
    [
        ("later", "dbah", 2),
        ("earlier", "ahbd", 3),
        ("admission", "ahbd", 2),
        ("discharge", "dbah", 1),
        ("before admission", "habd", 2),
    ],
)
def test_what_is_of_the_time_comes_first(prefers, found, raised):
    assert order(STAY, prefers) == (found, [raised])


def test_notes_written_then():
    assert order(STAY, "written", month=3, day=9) == ("dbah", [1])
    assert order(STAY, "written", year=2024) == ("bahd", [4])
    assert order(STAY, "written", year=2023) == ("bahd", [0])


def test_without_types_the_ends_of_the_stay_stand_in():
    stay = [hit("b", 0.9, "2024-01-02"), hit("c", 0.9, "2024-01-03"), hit("a", 0.9, "2024-01-01")]
    assert order(stay, "discharge") == ("cba", [1])
    assert order(stay, "admission") == ("abc", [1])
    assert order(stay, "before admission") == ("abc", [1])


def test_relevance_goes_before_time():
    old, new = hit("o", 0.9, "2020-01-01"), hit("n", 0.5, "2024-01-01")
    assert order([old, new], "later") == ("on", [1])


def test_two_patients_are_not_compared():
    hits = [hit("a", 0.9, "2020-01-01", patient="p1"), hit("b", 0.8, "2024-01-01", patient="p2")]
    assert order(hits, "later", "earlier") == ("ab", [0, 0])


def test_notes_without_a_time_are_untouched():
    hits = [hit("a", 0.9, kind="Discharge summary"), hit("b", 0.8), hit("c", -0.1)]
    for prefers in ("later", "discharge", "written"):
        assert steer(hits, [When("w", prefers, 2024)])[0] == hits


PREFERS = ["later", "earlier", "admission", "discharge", "before admission", "written"]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.sampled_from([None, "2024-01-01", "2024-02-03"]))),
    st.lists(st.sampled_from(PREFERS)),
)
def test_no_hit_is_lost_and_none_loses(some, prefers):
    hits = [hit(str(n), score, written) for n, (score, written) in enumerate(some)]
    steered, _ = steer(hits, [When("w", one, 2024) for one in prefers])
    before = {one.chunk.chunk_id: one.score for one in hits}
    assert {one.chunk.chunk_id for one in steered} == set(before)
    assert all(one.score >= before[one.chunk.chunk_id] for one in steered)


def test_more_is_searched_only_for_a_time():
    depths = []

    def find(queries, k):
        depths.append(k)
        return [STAY for _ in queries]

    late = retrieve("latest?", find, most=2)
    assert [one.chunk.chunk_id for one in late.hits] == ["d", "b"]
    assert (late.left, [(t.words, t.prefers, t.raised) for t in late.times]) == (
        2, [("latest", "later", 2)],
    )  # fmt: skip
    assert retrieve("latest?", find, most=2, by_time=False).times == ()
    assert retrieve("why?", find, most=2).times == ()
    assert depths == [4, 2, 2]


def test_the_trace_says_which_word_did_what():
    with EhrIndex.open(":memory:", encoder="offline") as index:
        index.add(note for note in ward.notes() if note.patient_id == "p08")
        question, whose = "What was he given at discharge?", Patient("p08")
        steered = index.qa_chain().ask(question, scope=whose)
        plain = index.qa_chain(settings=Settings(by_time=False)).ask(question, scope=whose)
    (use,) = steered.trace.times
    assert (use.words, use.prefers) == ("at discharge", "discharge")
    assert use.raised >= 1
    assert plain.trace.times == ()
    assert all("time" not in one.scores for one in plain.hits)
