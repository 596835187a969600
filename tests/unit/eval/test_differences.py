"""Comparisons of results: what is found, and what is refused."""

import numpy as np
import pytest
from eval_results import FACTS, made, rankings, task
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import EvaluationError, UnknownName
from drehr_rag.eval.comparing.changes import changes, headline
from drehr_rag.eval.comparing.comparison_table import how
from drehr_rag.eval.comparing.differences import compare, compare_all
from drehr_rag.eval.comparing.holm import holm
from drehr_rag.eval.comparing.pairing import Part, chosen
from drehr_rag.eval.comparing.randomisation import p_value
from drehr_rag.eval.scoring import Cell, score

MULTI = Cell("multi-patient", "all", "nDCG@10")
SINGLE = Cell("single-patient", "all", "nDCG")


def test_one_difference_with_all_its_figures():
    found = compare(made("a", [0.1, 0.2, 0.3, 0.4]), made("b", [0.2, 0.2, 0.5, 0.3]))
    (one,) = found.differences
    assert (one.a, one.b, one.difference) == pytest.approx((0.25, 0.3, 0.05))
    assert (one.better, one.worse, one.equal) == pytest.approx((0.5, 0.25, 0.25))
    each = np.array([0.1, 0.0, 0.2, -0.1])
    assert one.effect == pytest.approx(each.mean() / each.std(ddof=1))
    assert list(one.queries.values()) == pytest.approx(each.tolist())
    assert one.p == one.p_holm == p_value(each)
    assert one.items == 4


def test_notes_of_one_query_stay_together():
    """Twenty notes of two queries are two units, not twenty: p cannot be below 1/2."""
    items = [f"q{i % 2}\tn{i}" for i in range(20)]
    cells = [{SINGLE: dict.fromkeys(items, value)} for value in (0.2, 0.7)]
    a, b = (made(name, [0, 0], cells=c) for name, c in zip("ab", cells, strict=True))
    (one,) = compare(a, b).differences
    assert one.p == 0.5
    assert one.difference == pytest.approx(0.5)
    assert one.items == 20


def test_the_pooled_mean_is_over_notes():
    ours = {"q0\tn0": 0.0, "q0\tn1": 0.0, "q0\tn2": 0.0, "q1\tn0": 0.0}
    theirs = {**ours, "q1\tn0": 1.0}
    a, b = (made(n, [0, 0], cells={SINGLE: v}) for n, v in (("a", ours), ("b", theirs)))
    (one,) = compare(a, b).differences
    assert one.difference == 0.25
    assert one.queries == {"q0": 0.0, "q1": 1.0}


values = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30)


@given(values)
@settings(max_examples=40, deadline=None)
def test_swapped_results_change_every_sign_and_nothing_else(pairs):
    a, b = (made(name, side) for name, side in zip("ab", zip(*pairs, strict=True), strict=True))
    (forth,) = compare(a, b, flips=200).differences
    (back,) = compare(b, a, flips=200).differences
    assert back.difference == pytest.approx(-forth.difference)
    assert back.p == forth.p
    assert back.interval == pytest.approx([-end for end in reversed(forth.interval)], abs=1e-9)
    assert (back.better, back.worse) == (forth.worse, forth.better)
    assert (back.effect is None) == (forth.effect is None)
    assert forth.effect is None or back.effect == pytest.approx(-forth.effect)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
@settings(max_examples=20, deadline=None)
def test_a_result_does_not_differ_from_itself(side):
    (one,) = compare(made("a", side), made("a", side), flips=50).differences
    assert (one.difference, one.p, one.p_holm, one.equal) == (0, 1, 1, 1)
    assert one.interval == (0, 0)


def scored(name, seed, **more):
    on = task(**more)
    run = rankings(on, seed)
    return made(name, [], cells=score(on, run), task_=on, run=run)


def test_each_comparison_that_is_looked_at_is_corrected_for():
    a, b = scored("a", 1), scored("b", 2)
    plain, by_all = compare(a, b), compare(a, b, parts=chosen(a, b, by=("match", "type")))
    assert {one.part.cell.match for one in plain.differences} == {"all"}
    assert len(by_all.differences) > len(plain.differences)
    assert {one.part.type for one in by_all.differences} == {None, "disease", "drug"}
    assert {one.part.cell.match for one in by_all.differences} == {"all", "string", "synonym"}
    for one in plain.differences:
        other = next(o for o in by_all.differences if o.part == one.part)
        assert other.p == one.p
        assert other.p_holm >= one.p_holm


def test_all_results_against_the_first_are_corrected_together():
    results = [scored(name, seed) for seed, name in enumerate("abc")]
    together = compare_all(results)
    alone = [compare(results[0], other) for other in results[1:]]
    assert [(one.a, one.b) for one in together] == [("a", "b"), ("a", "c")]
    found = [d for one in together for d in one.differences]
    before = [d for one in alone for d in one.differences]
    assert [d.p for d in found] == [d.p for d in before]
    assert [d.p_holm for d in found] == holm([d.p for d in before])
    assert {one.tested for one in together} == {len(found)}
    assert compare_all(results[:1]) == []


def test_cells_that_only_one_has_are_counted():
    values = {"q0": 0.1, "q1": 0.2}
    recall = MULTI._replace(measure="R@5")
    a = made("a", [0, 0], cells={MULTI: values})
    b = made("b", [0, 0], cells={MULTI: values, recall: values})
    found = compare(a, b)
    assert found.left_out == 1
    assert "Cells left out because only one result has them: 1." in how(found)


def test_one_measure_only():
    a, b = scored("a", 1), scored("b", 2)
    parts = chosen(a, b, measures=["nDCG@10"], by=("type",))
    assert {part.cell for part in parts} == {MULTI}
    with pytest.raises(UnknownName, match="nDCG@11"):
        chosen(a, b, measures=["nDCG@11"])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (made("b", [0] * 3), "queries are not the same: 1 only in the first"),
        (
            made("b", [0] * 4, task_=task(4, facts={**FACTS, "data": {"qrels.tsv": "x"}})),
            r"other data: their manifests' data are not the same \(qrels.tsv\)",
        ),
        (
            made("b", [0] * 4, task_=task(4, facts={**FACTS, "chunker": {"chunker": "sections"}})),
            r"chunker are not the same \(chunker\)",
        ),
        (made("b", [0] * 4, task_=task(4, texts={1: "other"})), "1 changed"),
        (made("b", [0] * 4, task_=task(4, chunks=9)), "judgments are not the same: 3 only"),
        (
            made("b", [], task_=task(4), cells={MULTI: {"q0": 1.0}, SINGLE: {}}),
            "items of nDCG@10",
        ),
        (
            made("b", [], task_=task(4), cells={MULTI._replace(match="string"): {"q0": 1.0}}),
            "match types are not the same",
        ),
        (
            made("b", [], task_=task(4), cells={MULTI._replace(measure="RR"): {"q0": 1.0}}),
            "no measure in common: of 1 and 1",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(other, said):
    with pytest.raises(EvaluationError, match=said):
        compare(made("a", [0] * 4), other)


def test_another_benchmark_is_refused():
    ours = made("a", [0.0] * 4)
    theirs = type(ours)(**{**vars(ours), "benchmark": "another"})
    with pytest.raises(EvaluationError, match="'toy' and 'another'"):
        compare(ours, theirs)


def test_nothing_to_compare():
    with pytest.raises(EvaluationError, match="nothing to compare"):
        compare(made("a", [0]), made("b", [0]), parts=[])


def test_part_says_what_it_is():
    assert str(Part(MULTI)) == "nDCG@10 (multi-patient, all)"
    assert str(Part(SINGLE, "drug")) == "nDCG (single-patient, all, drug)"


def test_queries_that_changed_most_come_with_their_passages():
    runs = [{"q0": {"c0": 9, "c7": 8}, "q1": {}}, {"q0": {"c7": 9, "c8": 8, "c1": 7}, "q1": {}}]
    a = made("a", [1.0, 0.5], run=runs[0])
    b = made("b", [0.2, 0.5], run=runs[1])
    (one,) = changes(a, b, headline(compare(a, b).differences))
    assert (one.query, one.text, one.difference) == ("q0", "query 0", pytest.approx(-0.8))
    rows = {p.chunk: (p.rank_a, p.rank_b, p.judgment and p.judgment.match) for p in one.passages}
    assert rows == {
        "c0": (1, None, "string"),
        "c7": (2, 1, None),
        "c8": (None, 2, None),
        "c1": (None, 3, "synonym"),
        "c2": (None, None, "string"),
    }
