"""The sentence says what may be concluded, and never more."""

import numpy as np
import pytest
from eval_results import made

from drehr_rag.eval.comparing.comparison_table import markdown, record, table
from drehr_rag.eval.comparing.conclusion import conclusion, probability
from drehr_rag.eval.comparing.differences import compare
from drehr_rag.eval.scoring import Cell

DRAW = np.random.default_rng(0)
BASE = DRAW.uniform(0.2, 0.6, 40)
BETTER, WORSE, NOISE = BASE + 0.1, BASE - 0.05, BASE + DRAW.normal(0, 0.05, 40)


def cells(**columns):
    return {
        Cell("multi-patient", "all", name): {f"q{i}": float(v) for i, v in enumerate(values)}
        for name, values in columns.items()
    }


def sentence(**columns):
    a = made("lexical", BASE, cells=cells(**dict.fromkeys(columns, BASE)))
    return conclusion(compare(a, made("hybrid", BASE, cells=cells(**columns))))


def test_better():
    assert sentence(nDCG=BETTER) == (
        "hybrid is better than lexical on nDCG (multi-patient, all): +0.100 [+0.100, +0.100], "
        "p = .0001."
    )


def test_one_better_of_two():
    said = sentence(nDCG=BETTER, RR=NOISE)
    assert "p = .0002 after Holm over 2 comparisons; on the other 1 no difference" in said


def test_better_worse_and_the_rest():
    said = sentence(nDCG=BETTER, RR=WORSE, AP=NOISE)
    assert said.startswith("hybrid is better than lexical on nDCG (multi-patient, all): +0.100")
    assert "; and worse on MRR (multi-patient, all): −0.050" in said
    assert "p = .0003 (each p after Holm over 3 comparisons)" in said
    assert said.endswith(
        "on the other 1 no difference may be concluded, which does not show that there is none."
    )


def test_worse_only():
    assert sentence(RR=WORSE).startswith("hybrid is worse than lexical on MRR")


def test_nothing_found_is_not_equality():
    said = sentence(nDCG=NOISE)
    assert said.startswith("No difference between lexical and hybrid may be concluded (least p = .")
    assert "does not show that there is none" in said
    for claim in ("equal", "the same", "identical", "as good"):
        assert claim not in said


def test_all_the_same():
    assert "scored every query the same" in sentence(nDCG=BASE, RR=BASE)


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.00042, ".0004"), (0.0312, ".031"), (0.21, ".21"), (1, "1"), (1e-6, "< .0001")],
)
def test_a_probability_is_never_0(p, said):
    assert probability(p) == said


def test_markdown_and_record_say_the_same():
    a, b = made("lex|ical", BASE), made("hybrid", BETTER)
    found = compare(a, b)
    text = markdown(found)
    assert conclusion(found).replace("|", "\\|") in text.replace("lex|ical", "lex\\|ical")
    head, rows = table(found)
    assert {len(head)} == {len(row) for row in rows}
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    (one,) = record(found)["differences"]
    assert one["difference"] == found.differences[0].difference
    assert len(one["queries"]) == 40
