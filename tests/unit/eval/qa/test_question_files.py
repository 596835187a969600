"""The `ehr-qa` format: what is read, what is refused and how that is told."""

import json

import pytest

from drehr_rag.errors import BadArgument, EvaluationError
from drehr_rag.eval.qa.jsonl import checksum, read_questions, write_questions
from drehr_rag.eval.qa.records import Evidence, Question
from drehr_rag.eval.qa.sets import open_set
from drehr_rag.eval.qa.ward import ward_questions
from drehr_rag.types import Note

SECRET = "Zebedee"
NOTE = Note(note_id="n1", patient_id="p1", text=f"{SECRET} has gout.")
GOOD = {"question_id": "q1", "patient_id": "p1", "question": f"Has {SECRET} gout?"}


def file_of(folder, *rows):
    path = folder / "questions.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return path


def evidence(start, end, **more):
    return {"note_id": "n1", "start": start, "end": end, **more}


def test_what_is_known_and_what_is_not(tmp_path):
    read = read_questions(
        file_of(
            tmp_path,
            GOOD,
            {**GOOD, "question_id": 2, "answers": [], "evidence": []},
            {**GOOD, "question_id": "q3", "answers": ["Yes"], "entities": 2},
            {**GOOD, "question_id": "q4", "evidence": [evidence(0, 7)], "split": "dev"},
        )
    )
    assert [q.question_id for q in read] == ["q1", "2", "q3", "q4"]
    assert [q.answerable for q in read] == [None, False, True, True]


def test_written_and_read_again(tmp_path):
    questions, notes = ward_questions()
    write_questions(tmp_path / "q.jsonl", questions)
    assert read_questions(tmp_path / "q.jsonl", notes) == questions
    assert (tmp_path / "q.jsonl").stat().st_mode & 0o777 == 0o600
    assert checksum(questions) == checksum(list(questions)) != checksum(questions[1:])


def test_the_ward_as_a_set():
    questions, _ = ward_questions()
    assert len(questions) == 84
    assert sum(q.answerable is False for q in questions) == 14


def test_no_text_in_repr():
    question = Question(**GOOD, answers=(SECRET,))
    assert SECRET not in repr(question)
    assert SECRET not in repr(Evidence(**evidence(0, 7, quote=SECRET)))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{broken", "no JSON object"),
        ("[1]", "no JSON object"),
        ({k: v for k, v in GOOD.items() if k != "patient_id"}, "patient_id is missing"),
        ({**GOOD, "question": " "}, "question holds no text"),
        ({**GOOD, "question_id": ""}, "question_id is empty"),
        ({**GOOD, "answers": [""]}, "answers holds no text"),
        ({**GOOD, "entities": -1}, "entities"),
        ({**GOOD, "entities": True}, "entities"),
        ({**GOOD, "evidence": [evidence(3, 3)]}, "ends where it starts"),
        ({**GOOD, "evidence": [evidence(-1, 3)]}, "evidence.start"),
        ({**GOOD, "evidence": [evidence(0, 3, relevance="high")]}, "evidence.relevance"),
        ({**GOOD, "answers": [], "evidence": [evidence(0, 3)]}, "though the notes do not tell"),
        ({**GOOD, "answers": ["x"], "evidence": []}, "answers are given without evidence"),
        ({**GOOD, "question": "\ud800?"}, "question holds half of a surrogate pair"),
        ({**GOOD, "answers": ["\ud800"]}, "answers holds half of a surrogate pair"),
        ({**GOOD, SECRET: 1}, "Extra inputs"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path, row, reason):
    with pytest.raises(EvaluationError, match=r"1 of 2 lines cannot be used: 1 × ") as caught:
        read_questions(file_of(tmp_path, {**GOOD, "question_id": "q0"}, row))
    assert reason in str(caught.value) and "line 2" in str(caught.value)
    assert row == {**GOOD, SECRET: 1} or SECRET not in str(caught.value)


def test_many_bad_lines_are_counted_by_reason(tmp_path):
    with pytest.raises(EvaluationError) as caught:
        read_questions(file_of(tmp_path, *["{"] * 7, {**GOOD, "question": ""}, GOOD))
    assert "8 of 9 lines" in str(caught.value)
    assert "7 × no JSON object (line 1, line 2, line 3, line 4, line 5, … 2 more)" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"note_id": "n9"}, "a note that is not among the notes"),
        ({"end": 99}, "ends after its note"),
        ({"quote": "gout"}, "quote is not what stands there"),
    ],
)
def test_evidence_is_held_against_the_notes(tmp_path, change, reason):
    path = file_of(tmp_path, {**GOOD, "evidence": [evidence(0, 7) | change]})
    assert read_questions(path)
    with pytest.raises(EvaluationError, match=reason):
        read_questions(path, [NOTE])


def test_evidence_of_another_patient(tmp_path):
    path = file_of(tmp_path, {**GOOD, "patient_id": "p2", "evidence": [evidence(0, 7)]})
    with pytest.raises(EvaluationError, match="another patient's note"):
        read_questions(path, [NOTE])


def test_ids_that_stand_twice_and_empty_files(tmp_path):
    with pytest.raises(EvaluationError, match=r"1 of 2 questions .* stands twice \(q1\)"):
        read_questions(file_of(tmp_path, GOOD, GOOD))
    with pytest.raises(EvaluationError, match="holds no question"):
        read_questions(file_of(tmp_path, ""))
    with pytest.raises(EvaluationError, match="cannot read"):
        read_questions(tmp_path / "nothing")
    (tmp_path / "u16").write_text("x", "utf-16")
    with pytest.raises(EvaluationError, match="not UTF-8"):
        read_questions(tmp_path / "u16")


def test_sets_by_name(tmp_path):
    assert len(open_set("ward", split="dev").questions) == 44
    assert open_set("ward").notes
    with pytest.raises(BadArgument, match="no split 'test': it has dev, frozen"):
        open_set("ward", split="test")
    with pytest.raises(BadArgument, match="--column goes with a set in CSV"):
        open_set("ward", columns={"question": "q"})
    path = file_of(tmp_path, GOOD)
    assert open_set(str(path)).notes is None
    (tmp_path / "notes.jsonl").write_text(NOTE.model_dump_json() + "\n{\n")
    with pytest.raises(EvaluationError, match=r"1 of 2 notes .* cannot be read"):
        open_set(str(path), notes=tmp_path / "notes.jsonl")
