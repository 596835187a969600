"""Submissions: read, scored by hand, and held against the shared task's way of counting."""

import pytest
from archehr_sample import SUBMISSION, key_rows, write_answers, write_key, write_xml
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.archehr.cases import read_cases
from drehr_rag.eval.qa.archehr.scoring import score
from drehr_rag.eval.qa.archehr.submission import lines_of, read_submission, write_submission
from drehr_rag.eval.qa.replies import Cited, Reply, Said


@pytest.fixture
def cases(tmp_path):
    return read_cases(write_xml(tmp_path), write_key(tmp_path))


def scored(folder, cases, rows=None):
    path = write_answers(folder, rows)
    return score(read_submission(path, [case.case_id for case in cases]), cases)


def test_by_hand(tmp_path, cases):
    """Cited 1: {1, 2, 3}, 2: {1, 2, x}, 3: nothing; essential 1: {1, 2}, 2: {1}, 3: {0}."""
    found = scored(tmp_path, cases)
    assert found.strict["precision"] == 3 / 6  # lenient: 3 of case 1 and 2 of case 2
    assert found.strict["recall"] == 3 / 4
    assert found.strict["f1"] == pytest.approx(0.6)
    assert found.lenient["precision"] == 5 / 6
    assert found.lenient["recall"] == 5 / 6
    assert found.strict["macro_precision"] == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert found.strict["macro_recall"] == pytest.approx((1 + 1 + 0) / 3)
    assert found.strict["macro_f1"] == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert found.faults.without_citation == 1
    assert found.faults.uncited_lines == 1
    assert found.faults.unknown_ids == 1
    assert (found.faults.empty_pipes, found.faults.too_long) == (0, 0)
    assert 0 < found.rouge_l < 1


def official(answers, key, allowed):
    """The shared task's counting, told again: sets of ids, micro and macro."""
    shared = cited = right = 0
    macro = []
    for row in key:
        gold = {a["sentence_id"] for a in row["answers"] if a["relevance"] in allowed}
        said = set()
        for line in answers[row["case_id"]].split("\n"):
            parts = line.rsplit("|", maxsplit=2)
            if len(parts) == 3:
                said |= {c.strip() for c in parts[1].split(",") if c.strip()}
        both = len(gold & said)
        shared, cited, right = shared + both, cited + len(said), right + len(gold)
        macro.append(2 * both / (len(gold) + len(said)) if both else 0)
    f1 = 2 * shared / (cited + right) if shared else 0
    return f1, sum(macro) / len(macro)


lines = st.lists(
    st.sampled_from(
        ["A. |1|", "B |2,3|", "C |0, 1|", "D", "E |9,x|", "F ||", "G |2", "H |1|.", "I | |0|", ""]
    ),
    max_size=4,
).map("\n".join)


@given(lines, lines, lines)
def test_against_the_shared_tasks_counting(one, two, three):
    """Without files: hypothesis would have to write thousands."""
    answers = {"1": one, "2": two, "3": three}
    found = score({name: lines_of(text) for name, text in answers.items()}, CASES_READ)
    for variant, allowed in (
        (found.strict, {"essential"}),
        (found.lenient, {"essential", "supplementary"}),
    ):
        micro, macro = official(answers, key_rows(), allowed)
        assert (variant["f1"], variant["macro_f1"]) == pytest.approx((micro, macro))


@pytest.fixture(scope="module", autouse=True)
def _read_once(tmp_path_factory):
    global CASES_READ
    folder = tmp_path_factory.mktemp("archehr")
    CASES_READ = read_cases(write_xml(folder), write_key(folder))


def test_broken_citations(tmp_path, cases):
    text = "A |2,x|\nB |99|\nC no pipe\nD ||\nE |1|."
    assert [line.cited for line in lines_of(text)] == [("2", "x"), ("99",), (), (), ("1",)]
    rows = [{"case_id": name, "answer": text} for name in SUBMISSION]
    faults = scored(tmp_path, cases, rows).faults
    assert faults.uncited_lines == 3 and faults.empty_pipes == 3
    assert faults.unknown_ids == 3 * 2 + 2  # x and 99 everywhere, 1 and 2 in case 3
    assert faults.without_citation == 0


def test_a_long_answer_is_cut_and_counted(tmp_path, cases):
    rows = [{"case_id": n, "answer": "word " * 76 + "|0|"} for n in SUBMISSION]
    rows[2]["answer"] = "word " * 75 + "Clinic in two weeks. |0|"
    found = scored(tmp_path, cases, rows)
    assert found.faults.too_long == 3 and found.rouge_l == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows[:2], "1 of 3 cases cannot be used: 1 × a case that is missing (3)"),
        (lambda rows: [*rows, rows[0]], "a case that is there twice (1)"),
        (
            lambda rows: [*rows, {"case_id": "Zebedee", "answer": ""}],
            "a case that the XML does not have (entry 4)",
        ),
        (lambda rows: [*rows, {"answer": "x"}], "no case_id (entry 4)"),
        (lambda rows: [*rows[:2], {"case_id": "3"}], "an answer that is no text (3)"),
        (lambda rows: [*rows[:2], {"case_id": "3", "answer": ["x"]}], "no text (3)"),
        (lambda rows: {"cases": rows}, "is no list of {case_id, answer}"),
    ],
)
def test_submissions_that_cannot_be_scored(tmp_path, cases, change, reason):
    rows = [{"case_id": name, "answer": text} for name, text in SUBMISSION.items()]
    with pytest.raises(EvaluationError) as caught:
        scored(tmp_path, cases, change(rows))
    assert reason in str(caught.value) and "Zebedee" not in str(caught.value)


def test_files_that_are_no_json(tmp_path, cases):
    (tmp_path / "submission.json").write_text('[{"case_id": "1", "answer": "secr')
    with pytest.raises(EvaluationError, match=r"is not JSON") as caught:
        read_submission(tmp_path / "submission.json", ["1"])
    assert "secr" not in str(caught.value)


def test_scoring_needs_the_key(tmp_path):
    with pytest.raises(EvaluationError, match="scoring needs the key"):
        scored(tmp_path, read_cases(write_xml(tmp_path)))


def reply(case_id, *claims):
    """Each claim: its text and the stretches that it cites."""
    said = tuple(
        Said(
            text=text,
            citations=tuple(
                Cited(note_id=f"case-{case_id}", start=a, end=b, chunk_id="c", quote="q")
                for a, b in spans
            ),
        )
        for text, spans in claims
    )
    return Reply(question_id=case_id, sentences=said, abstained=not said, seconds=0.1)


def test_a_run_as_a_submission(tmp_path, cases):
    first, second, _ = cases
    spans = [(s.start, s.end) for s in first.sentences]
    replies = [
        reply("1", ("Duct | wide.", [(spans[1][0] + 3, spans[2][1])]), ("Ate.", [spans[3]])),
        reply("2", ("Nowhere.", [(8, 9)])),
        reply("3"),
    ]
    assert second.note.text[8:9] == " "
    without = write_submission(tmp_path / "s.json", cases, replies)
    assert without == 2
    found = read_submission(tmp_path / "s.json", ["1", "2", "3"])
    assert [(line.said, line.cited) for line in found["1"]] == [
        ("Duct / wide.", ("1", "2")),
        ("Ate.", ("3",)),
    ]
    assert [line.cited for line in found["2"]] == [()] and found["3"] == []
    with pytest.raises(EvaluationError, match="1 of 3 cases have no answer in the run"):
        write_submission(tmp_path / "s.json", cases, replies[:2])
