"""A task refuses what does not fit; a result comes back as it was saved, or not at all."""

import json
import random

import ir_measures
import pytest

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.results import Result, result
from drehr_rag.eval.scoring import Cell, mean, score
from drehr_rag.eval.tables import grid, lines, markdown
from drehr_rag.eval.task import Judgment, Passage, Query, Task

PASSAGES = {f"n{n}_{i}": Passage("words", f"n{n}") for n in range(3) for i in range(6)}
QUERIES = {"a": Query("gout", "disease"), "b": Query("lasix", "drug")}
QRELS = {
    "a": {"n0_1": Judgment(1, "string"), "n0_2": Judgment(1, "synonym"), "n0_3": Judgment(0)},
    "b": {"n1_0": Judgment(2, "string"), "n1_1": Judgment(1, "string")},
}
RUN = {"a": {"n0_3": 3.0, "n0_1": 2.0, "n1_1": 2.0}, "b": {"n1_1": 1.0, "n1_0": 0.5}}


@pytest.fixture
def task():
    return Task("toy", PASSAGES, QUERIES, QRELS)


def test_judgments_that_do_not_fit_are_counted():
    with pytest.raises(EvaluationError, match="no passage"):
        Task("toy", {}, QUERIES, QRELS)
    with pytest.raises(EvaluationError, match=r"1 of 3 judged queries .* 'x'"):
        Task("toy", PASSAGES, QUERIES, {**QRELS, "x": {"n0_1": Judgment()}})
    with pytest.raises(EvaluationError, match=r"1 of 5 judgments name chunks .* 'n9_0'"):
        Task("toy", PASSAGES, QUERIES, {**QRELS, "b": {"n9_0": Judgment(), "n1_0": Judgment()}})
    with pytest.raises(EvaluationError, match=r"1 of 2 queries have no relevant chunk, e.g. 'b'"):
        Task("toy", PASSAGES, QUERIES, {"a": QRELS["a"], "b": {"n1_0": Judgment(0)}})


def test_texts_are_not_shown():
    assert "words" not in repr(PASSAGES["n0_0"])
    assert "gout" not in repr(QUERIES["a"])


def test_grades_and_judged_zeros(task):
    """Two grades: the lesser first. DCG by trec_eval's linear gain."""
    scores = score(task, RUN, measures={"multi-patient": ("nDCG@10", "RR", "R@100", "P@2")})
    ideal = 2 / 1 + 1 / 1.5849625007211562
    cell = Cell("multi-patient", "all", "nDCG@10")
    assert scores[cell]["b"] == pytest.approx((1 + 2 / 1.5849625007211562) / ideal)
    # n0_3, judged not relevant, stands first; of the equal two the greater id does.
    assert scores[Cell("multi-patient", "all", "RR")]["a"] == pytest.approx(1 / 3)
    assert scores[Cell("multi-patient", "all", "P@2")] == {"a": 0.0, "b": 1.0}


@pytest.mark.parametrize("name", ["nDGC@10", "", "RR(", "__import__('os')", "cliniq-nDCG@"])
def test_an_unknown_measure_is_named(task, name):
    with pytest.raises(EvaluationError, match="no measure is called"):
        score(task, RUN, measures={"multi-patient": (name,)})


def test_a_run_that_does_not_fit_is_refused(task):
    with pytest.raises(EvaluationError, match=r"1 of the run's 3 entries .* 'zzz'"):
        score(task, {"a": {"zzz": 1.0, "n0_1": 0.5}, "b": {"n1_0": 1.0}})
    with pytest.raises(EvaluationError, match="1 scores of query 'b'"):
        score(task, {"a": {}, "b": {"n1_0": float("nan")}})
    with pytest.raises(EvaluationError, match="nothing to take the mean of"):
        mean({})


def test_a_result_comes_back(task, tmp_path):
    made = result("toy system", task, RUN, score(task, RUN), manifest={"seed": 7})
    made.save(tmp_path / "r")
    read = Result.load(tmp_path / "r")
    assert (read.scores, read.queries, read.qrels, dict(read.run)) == (
        made.scores,
        dict(task.queries),
        QRELS,
        RUN,
    )
    assert read.manifest["seed"] == 7
    assert read.manifest["benchmark"]["queries"] == 2
    assert {"drehr-rag", "python", "ir-measures"} <= read.manifest["versions"].keys()
    assert read.items(Cell("multi-patient", "all", "RR"), "drug") == {"b": 1.0}


def test_a_changed_or_half_result_is_refused(task, tmp_path):
    made = result("toy", task, RUN, score(task, RUN))
    made.save(tmp_path / "r")
    with pytest.raises(EvaluationError, match="not empty"):
        made.save(tmp_path / "r")
    (tmp_path / "r" / "queries.jsonl").write_text("{}\n")
    with pytest.raises(EvaluationError, match=r"queries.jsonl is missing or was changed"):
        Result.load(tmp_path / "r")
    whole = json.loads((tmp_path / "r" / "manifest.json").read_text())
    whole["files"].pop("queries.jsonl")
    (tmp_path / "r" / "manifest.json").write_text(json.dumps(whole))
    with pytest.raises(EvaluationError, match=r"queries.jsonl is missing or was changed"):
        Result.load(tmp_path / "r")
    for broken in ([], {"form": 1}, {"form": 1, "files": {}, "benchmark": {"name": 1}}):
        (tmp_path / "r" / "manifest.json").write_text(json.dumps(broken))
        with pytest.raises(EvaluationError, match=r"form None|no longer whole"):
            Result.load(tmp_path / "r")
    (tmp_path / "r" / "manifest.json").write_text(json.dumps({"form": 99}))
    with pytest.raises(EvaluationError, match="form 99"):
        Result.load(tmp_path / "r")
    (tmp_path / "r" / "manifest.json").unlink()
    with pytest.raises(EvaluationError, match=r"no manifest.json"):
        Result.load(tmp_path / "r")
    made.save(tmp_path / "r")  # what was cut off is written again
    assert dict(Result.load(tmp_path / "r").run) == RUN
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(EvaluationError, match="not empty"):
        made.save(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="is a file"):
        made.save(tmp_path / "file")


def test_tables(task):
    first = result("one", task, RUN, score(task, RUN))
    swapped = {"a": {"n0_1": 9.0}, "b": {"n1_0": 1.0}}
    second = result("two", task, swapped, score(task, swapped))
    table = {(line.setting, line.group, line.measure): line for line in lines([first, second])}
    assert table["multi-patient", "all", "MRR"].means == pytest.approx((2 / 3, 1.0))
    assert table["multi-patient", "drug", "MRR"].items == 1
    assert table["single-patient", "string", "MAP"].items == 2
    assert grid([first, second]).groups == (
        "all",
        "type disease",
        "type drug",
        "match string",
        "match synonym",
    )
    assert "| multi-patient | MRR | two | 1.000* |" in markdown([first, second])
    other = result("one", Task("other", PASSAGES, QUERIES, QRELS), RUN, score(task, RUN))
    with pytest.raises(EvaluationError, match="of one benchmark, not of 2"):
        lines([first, other])


MEASURES = (
    "RR",
    "RR(rel=2)",
    "RR@3",
    "AP",
    "AP(rel=2)@5",
    "Bpref",
    "Judged@10",
    "nDCG",
    "nDCG@5",
    "nDCG(judged_only=True)@10",
    "P@5",
    "P(rel=2)@5",
    "R@5",
    "R(rel=2)@5",
    "Rprec",
    "SetP",
    "Success@3",
    "infAP",
)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_what_ir_measures_says_of_the_same_files(name):
    """Grades 0 to 2, chunks without judgment, rankings deeper than any cutoff."""
    draw = random.Random(name)
    passages = {f"n_{i}": Passage("x", "n") for i in range(200)}
    qrels = {
        f"q{q}": {c: Judgment(draw.choice([0, 0, 1, 2])) for c in draw.sample(list(passages), 40)}
        for q in range(20)
    }
    run = {
        query: {chunk: draw.random() for chunk in draw.sample(list(passages), 120)}
        for query in qrels
    }
    task = Task("toy", passages, {query: Query("x") for query in qrels}, qrels)
    scores = score(task, run, measures={"multi-patient": (name,)})
    grades = {q: {c: one.grade for c, one in judged.items()} for q, judged in qrels.items()}
    measure = ir_measures.parse_measure(name)
    theirs = {m.query_id: m.value for m in ir_measures.iter_calc([measure], grades, run)}
    assert scores[Cell("multi-patient", "all", name)] == pytest.approx(theirs, abs=1e-9)
