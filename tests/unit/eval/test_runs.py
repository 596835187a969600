"""Runs are read whole or refused; what trec_eval would do is what we do."""

import gzip
import json
import random

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.runs import check_run, ranking, read_run, write_run

IDS = st.text("abc123_-:é", min_size=1, max_size=4)
RUNS = st.dictionaries(
    IDS, st.dictionaries(IDS, st.floats(-1e6, 1e6, allow_nan=False), min_size=1), min_size=1
)


@given(run=RUNS, name=st.sampled_from(["r.trec", "r.txt.gz", "r.json", "r.json.gz"]))
def test_what_was_written_is_read(tmp_path_factory, run, name):
    file = tmp_path_factory.mktemp("run") / name
    write_run(run, file)
    assert read_run(file) == run


def test_gzip_is_known_by_its_bytes_and_the_same_run_makes_the_same_file(tmp_path):
    write_run({"q": {"a": 1.0}}, tmp_path / "a.trec.gz")
    write_run({"q": {"a": 1.0}}, tmp_path / "b.trec.gz")
    assert (tmp_path / "a.trec.gz").read_bytes() == (tmp_path / "b.trec.gz").read_bytes()
    (tmp_path / "c.trec").write_bytes((tmp_path / "a.trec.gz").read_bytes())
    assert read_run(tmp_path / "c.trec") == {"q": {"a": 1.0}}
    assert gzip.decompress((tmp_path / "a.trec.gz").read_bytes()) == b"q Q0 a 1 1.0 drehr-rag\n"


def test_beirs_form_can_say_that_nothing_was_found(tmp_path):
    write_run({"q": {"a": 1.0}, "r": {}}, tmp_path / "r.json")
    assert read_run(tmp_path / "r.json") == {"q": {"a": 1.0}, "r": {}}


def test_a_leading_line_break_and_ranks_in_any_order(tmp_path):
    (tmp_path / "r").write_text('\n {"q": {"a": 1, "b": 2.5}}')
    assert read_run(tmp_path / "r") == {"q": {"a": 1.0, "b": 2.5}}
    (tmp_path / "r").write_text("q Q0 a 2 1 t\nq Q0 b 1 2.5 t\nr Q0 b 1 1 t\n")
    assert read_run(tmp_path / "r") == {"q": {"a": 1.0, "b": 2.5}, "r": {"b": 1.0}}


def test_only_the_best_are_written(tmp_path):
    write_run({"q": {"a": 1.0, "b": 3.0, "c": 2.0}}, tmp_path / "r.trec", depth=2)
    assert read_run(tmp_path / "r.trec") == {"q": {"b": 3.0, "c": 2.0}}


def test_equal_scores_stand_as_trec_eval_puts_them():
    draw = random.Random(0)
    for _ in range(50):
        chunks = [f"d{i}" for i in range(12)]
        scores = {chunk: float(draw.randint(0, 2)) for chunk in chunks}
        relevant = draw.choice(chunks)
        place = ranking(scores).index(relevant) + 1
        given_ = ir_measures.calc_aggregate([ir_measures.RR], {"q": {relevant: 1}}, {"q": scores})
        assert given_[ir_measures.RR] == pytest.approx(1 / place)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no ranking"),
        ("\n\n", "holds no ranking"),
        ("{}", "holds no ranking"),
        ("q Q0 a 1 nan t\n", "1 scores are no finite number"),
        ("q Q0 a 1 inf t\n", "1 scores are no finite number"),
        ("q Q0 a 1 high t\n", "1 scores are no finite number"),
        ("q Q0 a 1 2 t\nq Q0 a 2 1 t\n", "1 chunks are named twice"),
        ("q a 1\n", ":1: 3 columns"),
        ("q Q0 a 1 2 t\nq Q0 a b c 1 2 t\n", ":2: 8 columns"),
        ('{"q": {}}', "holds no ranking"),
        ("\n[1, 2]", "BEIR's form is"),
        ("[" * 100_000, "nested without end"),
        ('{"q": {"a": 1' + "0" * 400 + "}}", "no finite number"),
        ('{"q": {"a": true}}', "no finite number"),
        ("q Q0 a 1 1_000 t\n", "1 scores are no finite number"),
        ("q Q0 a 1 0.1 t\nq Q0 b 2 0.2 t\n", "in 1 of 1 .* contradict .* are they distances"),
        ("".join(f"q Q0 {i} {1 / i} 1 t\n" for i in range(1, 30)), "all scores of a query are"),
        ('{"q": {"a": NaN}}', "no finite number"),
        ('{"q": {"a": "x"}}', "no finite number"),
        ('{"q": {"a": null}}', "no finite number"),
        ('{"q": ["a"]}', "no object of chunks"),
        ('{"q": {"a": 1}, "q": {"b": 1}}', "twice in one object"),
        ('{"q": {"a": 1', "broken JSON"),
    ],
)
def test_what_cannot_be_a_run_is_refused(tmp_path, text, said):
    file = tmp_path / "run"
    file.write_text(text)
    with pytest.raises(EvaluationError, match=said):
        read_run(file)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(EvaluationError, match="No such file"):
        read_run(tmp_path / "none")
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "bytes").write_bytes(b"q Q0 \xff 1 1 t\n")
    with pytest.raises(EvaluationError, match="is not UTF-8: convert it"):
        read_run(tmp_path / "bytes")
    whole = gzip.compress(json.dumps({"q": {"a": 1}}).encode() * 50)
    (tmp_path / "half.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EvaluationError, match="damaged"):
        read_run(tmp_path / "half.gz")


def test_ids_with_spaces_are_refused_where_they_would_be_misread(tmp_path):
    with pytest.raises(EvaluationError, match="white space"):
        write_run({"a query": {"a": 1.0}}, tmp_path / "r.trec")
    assert not list(tmp_path.iterdir())
    write_run({"a query": {"a": 1.0}}, tmp_path / "r.json")
    assert read_run(tmp_path / "r.json") == {"a query": {"a": 1.0}}
    with pytest.raises(EvaluationError, match="tag"):
        write_run({"q": {"a": 1.0}}, tmp_path / "r.trec", tag="my system")


def test_a_run_of_other_queries_or_of_a_part_is_refused():
    with pytest.raises(EvaluationError, match=r"1 of the run's 2 queries .* 'x'"):
        check_run({"a": {}, "x": {}}, ["a", "b"])
    with pytest.raises(EvaluationError, match=r"leaves out 1 of 2 queries, e.g. 'b'"):
        check_run({"a": {}}, ["a", "b"])
    check_run({"a": {}}, ["a", "b"], missing="zero")
