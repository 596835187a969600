"""Judgments in four forms, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qrels import MATCHES, read_qrels, write_qrels
from drehr_rag.eval.task import Judgment

IDS = st.text("abc123_-:é", min_size=1, max_size=4)
JUDGMENTS = st.builds(Judgment, st.integers(0, 3), st.sampled_from([None, *MATCHES]))


@given(st.dictionaries(IDS, st.dictionaries(IDS, JUDGMENTS, min_size=1), min_size=1))
def test_what_was_written_is_read(tmp_path_factory, qrels):
    file = tmp_path_factory.mktemp("qrels") / "qrels.tsv.gz"
    write_qrels(qrels, file)
    assert read_qrels(file) == qrels


def test_trecs_form_has_no_match_types(tmp_path):
    write_qrels({"q": {"a": Judgment(2, "string")}}, tmp_path / "qrels.trec")
    assert (tmp_path / "qrels.trec").read_text() == "q 0 a 2\n"
    assert read_qrels(tmp_path / "qrels.trec") == {"q": {"a": Judgment(2)}}


@pytest.mark.parametrize(
    "text",
    [
        "q1 0 c_1 1\nq1 0 c_2 0\n",
        "query-id\tcorpus-id\tscore\nq1\tc_1\t1\nq1\tc_2\t0\n",
        "\ufeffquery-id\tcorpus-id\tscore\r\nq1\tc_1\t1\r\nq1\tc_2\t0\r\n",
    ],
)
def test_graded_forms(tmp_path, text):
    (tmp_path / "q").write_text(text)
    assert read_qrels(tmp_path / "q") == {"q1": {"c_1": Judgment(1), "c_2": Judgment(0)}}


@pytest.mark.parametrize("head", ["", "query-id\tcorpus-id\tmatch\n"])
def test_forms_with_match_types(tmp_path, head):
    (tmp_path / "q").write_text(head + "0\t100_1\tsynonym\n")
    assert read_qrels(tmp_path / "q") == {"0": {"100_1": Judgment(1, "synonym")}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no judgment"),
        ("query-id\tcorpus-id\tscore\n", "holds no judgment"),
        ("q 0 a 1\nq 0 a 0\n", "1 pairs .* judged twice"),
        ("q 0 a high\n", ":1: the grade 'high'"),
        ("q\ta\tguess\n", ":1: neither"),
        ("q 0 a 1\nq a\n", ":2: neither"),
        ("query-id\tcorpus-id\tscore\nq\ta\n", ":2: 2 columns, where the header has 3"),
    ],
)
def test_what_cannot_be_judgments_is_refused(tmp_path, text, said):
    (tmp_path / "q").write_text(text)
    with pytest.raises(EvaluationError, match=said):
        read_qrels(tmp_path / "q")
