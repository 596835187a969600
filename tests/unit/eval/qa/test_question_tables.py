"""A user's CSV of questions."""

import pytest

from drehr_rag.errors import EvaluationError, UnknownName
from drehr_rag.eval.qa.table import read_table
from drehr_rag.types import Note

NOTE = Note(note_id="n1", patient_id="7", text="Zebedee has gout. No gout in the family.")


def table(folder, text, name="q.csv"):
    path = folder / name
    path.write_text(text)
    return path


def test_columns_are_mapped_and_rows_joined(tmp_path):
    path = table(
        tmp_path,
        "id,subject,question,answers,note_id,quote,entities\n"
        'q1,7,"Gout,\nor not?",Yes||He has gout,n1,has gout,1\n'
        'q1,7,"Gout,\nor not?",Yes||He has gout,n1,Zebedee,1\n'
        "q2,7,Asthma?,[],,,\n"
        "q3,7,Why?,,,,\n",
    )
    first, second, third = read_table(path, {"question_id": "id", "patient_id": "subject"}, [NOTE])
    assert first.answers == ("Yes", "He has gout") and first.entities == 1
    assert [(e.start, e.end) for e in first.evidence] == [(8, 16), (0, 7)]
    assert (second.answers, second.evidence, second.answerable) == ((), (), False)
    assert (third.answers, third.evidence, third.answerable) == (None, None, None)


def test_tabs_and_offsets(tmp_path):
    header = "question_id\tpatient_id\tquestion\tnote_id\tstart\tend\trelevance"
    text = f"{header}\nq\t7\tGout?\tn1\t8\t16\tsupplementary\n"
    (question,) = read_table(table(tmp_path, text, "q.tsv"), notes=[NOTE])
    (piece,) = question.evidence
    assert (piece.start, piece.end, piece.relevance) == (8, 16, "supplementary")


HEAD = "question_id,patient_id,question,answers,note_id,start,end,quote,entities"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("q,7,Gout?,,n1,,,gout,", "does not stand exactly once"),
        ("q,7,Gout?,,n2,,,gout,", "not among the notes: give them with --notes"),
        ("q,7,Gout?,,n1,,,,", "without start and end, and without a quote"),
        ("q,7,Gout?,,,1,2,,", "evidence without note_id"),
        ("q,7,Gout?,,n1,one,2,,", "start is no whole number"),
        ("q,7,Gout?,,n1,8,,,", "evidence.end"),
        ("q,7,Gout?,,n1,8,99,,", "ends after its note"),
        ("q,7,Gout?,,n1,8,16,Zebedee,", "quote is not what stands there"),
        ("q,7,Gout?,,,,,,many", "entities is no whole number"),
        (",7,Gout?,,,,,,", "question_id is empty"),
        ("q,7,,,,,,,", "question"),
        ("q,7,Gout?,a||,,,,,", "answers holds no text"),
        ("q,7,Gout?", "another number of cells"),
        ('q,7,"Gout?', "broken CSV"),
        ("q,7,Gout?,,,,,,\nq,8,Gout?,,,,,,", "differs from the question's first row"),
    ],
)
def test_bad_rows_are_told(tmp_path, row, reason):
    with pytest.raises(EvaluationError, match="cannot be used") as caught:
        read_table(table(tmp_path, f"{HEAD}\n{row}\n"), notes=[NOTE])
    said = str(caught.value).removeprefix(str(tmp_path))
    assert reason in said and "Gout" not in said


def test_names_that_are_not_there(tmp_path):
    path = table(tmp_path, f"{HEAD}\n")
    with pytest.raises(UnknownName, match="no field 'patient'"):
        read_table(path, {"patient": "x"})
    with pytest.raises(UnknownName, match=r"no column 'x': map it.*--column"):
        read_table(path, {"kind": "x"})
    with pytest.raises(UnknownName, match="no column 'patient_id', 'question', 'question_id'"):
        read_table(table(tmp_path, ""))
    with pytest.raises(EvaluationError, match="no header that is CSV"):
        read_table(table(tmp_path, '"a"b,c\n'))
    with pytest.raises(EvaluationError, match="two columns of one name"):
        read_table(table(tmp_path, f"{HEAD},start\n"))
    with pytest.raises(EvaluationError, match="holds no question"):
        read_table(table(tmp_path, f"{HEAD}\n"))
