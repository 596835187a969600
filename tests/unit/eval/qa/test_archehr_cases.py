"""ArchEHR-QA's XML and key: what is read, and what is refused."""

import pytest
from archehr_sample import CASES, key_rows, write_key, write_xml

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.archehr.cases import read_cases
from drehr_rag.eval.qa.archehr.questions import questions_of


def test_each_sentence_is_a_stretch_of_the_excerpt(tmp_path):
    cases = read_cases(write_xml(tmp_path), write_key(tmp_path))
    assert [case.case_id for case in cases] == ["1", "2", "3"]
    for case in cases:
        texts = [text for paragraph in CASES[case.case_id]["paragraphs"] for text in paragraph]
        assert [case.words(sentence) for sentence in case.sentences] == texts
        assert all(sentence.agrees for sentence in case.sentences)
        assert list(case.relevance.values()) == CASES[case.case_id]["labels"]
    assert "embolus" not in repr(cases[1])


def test_white_space_may_differ(tmp_path):
    text = write_xml(tmp_path).read_text().replace("common\nbile", "common bile", 1)
    (first, *_) = read_cases(write_xml(tmp_path, text))
    assert first.words(first.sentences[1]).split() == CASES["1"]["paragraphs"][1][0].split()


def test_indices_that_count_from_the_excerpts_start_agree_too(tmp_path):
    text = write_xml(tmp_path).read_text()
    text = text.replace(
        'id="2" paragraph_id="1" start_char_index="0"',
        'id="2" paragraph_id="1" start_char_index="48"',
    )
    text = text.replace(
        'id="3" paragraph_id="1" start_char_index="21"',
        'id="3" paragraph_id="1" start_char_index="69"',
    )
    case = read_cases(write_xml(tmp_path, text))[1]
    assert all(sentence.agrees for sentence in case.sentences)


def test_an_index_that_disagrees_is_counted_and_the_words_decide(tmp_path):
    text = write_xml(tmp_path).read_text().replace('start_char_index="21"', 'start_char_index="20"')
    case = read_cases(write_xml(tmp_path, text))[1]
    assert [sentence.agrees for sentence in case.sentences] == [True, True, True, False]
    assert case.words(case.sentences[3]) == "No bleeding."


def test_as_questions_and_notes(tmp_path):
    cases = read_cases(write_xml(tmp_path), write_key(tmp_path))
    questions, notes = questions_of(cases)
    assert [q.question for q in questions] == [case["question"] for case in CASES.values()]
    assert [len(q.evidence) for q in questions] == [3, 2, 1]
    assert [len(q.essential()) for q in questions] == [2, 1, 1]
    assert {q.answers for q in questions} == {None}
    assert [n.patient_id for n in notes] == ["case-1", "case-2", "case-3"]
    assert questions_of(cases, asked="patient")[0][1].question == CASES["2"]["narrative"]
    unknown, _ = questions_of(read_cases(write_xml(tmp_path)))
    assert {q.answerable for q in unknown} == {None}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<annotations>", '<!DOCTYPE a [<!ENTITY x "y">]><annotations>', "which is refused"),
        ("</annotations>", "", "broken XML"),
        ("case", "kase", "no <case> in it"),
        ('case id="2"', 'case id=""', "no id"),
        ('case id="2"', 'case id="1"', "an id that stands twice"),
        ("<clinician_question>\nWhy was heparin given?", "<clinician_question>", "is missing"),
        ("note_excerpt>", "excerpt>", "<note_excerpt> is missing or empty"),
        ("note_excerpt_sentences>", "s>", "<note_excerpt_sentences> is missing or empty"),
        (">\nNo bleeding.", ">\nMuch bleeding.", "does not stand in <note_excerpt>"),
        (">\nNo bleeding.", ">", "a sentence without words"),
        ('sentence id="3"', 'sentence id="2"', "with another's id"),
        ('start_char_index="21"', 'start_char_index="-1"', "without start_char_index"),
        ('start_char_index="21"', "", "without start_char_index"),
    ],
)
def test_broken_xml_is_told_without_its_text(tmp_path, old, new, reason):
    text = write_xml(tmp_path).read_text()
    assert old in text
    with pytest.raises(EvaluationError) as caught:
        read_cases(write_xml(tmp_path, text.replace(old, new)))
    assert reason in str(caught.value)
    assert "bleeding" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(EvaluationError, match="cannot read"):
        read_cases(tmp_path / "archehr-qa.xml")


def without(rows, case, field, change):
    for row in rows:
        if row["case_id"] == case:
            row[field] = change(row[field])
    return rows


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({}, "no list of cases"),
        (key_rows()[:2], "that the key does not have (3)"),
        ([*key_rows(), *key_rows()[:1]], "stands twice (1)"),
        ([*key_rows(), {"answers": []}], "no case_id (4)"),
        (without(key_rows(), "3", "case_id", lambda _: "9"), "that the XML does not have (9)"),
        (without(key_rows(), "2", "answers", lambda a: a[1:]), "a sentence without a label (2)"),
        (without(key_rows(), "2", "answers", lambda a: [*a, a[0]]), "each once (2)"),
        (without(key_rows(), "2", "answers", lambda _: None), "no list of sentences"),
        (
            without(key_rows(), "3", "answers", lambda a: [a[0] | {"relevance": "high"}]),
            "a label other than essential, supplementary, not-relevant (3)",
        ),
        (
            without(key_rows(), "3", "answers", lambda a: [*a, a[0] | {"sentence_id": "7"}]),
            "a sentence that the XML does not have (3)",
        ),
    ],
)
def test_keys_that_do_not_fit(tmp_path, rows, reason):
    with pytest.raises(EvaluationError) as caught:
        read_cases(write_xml(tmp_path), write_key(tmp_path, rows))
    assert reason in str(caught.value)
