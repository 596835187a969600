"""A table of senses: shares by capitals, cues by what stands around."""

import math
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import GraphError
from drehr_rag.kg.packaged import SENSES
from drehr_rag.kg.senses import HEADING, NUMBER, Senses, cues_of

TABLE = """\
physical therapy\tPT=0.6\tconsult=1 §plan=0.5
prothrombin time|prothrombin\tPT=0.3 pt=0.1\t#=2 inr=2
patient\tPT=0.1 pt=0.9\tyear=1 inr=-2
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "senses.tsv").write_text(TABLE)
    return Senses(tmp_path / "senses.tsv")


def test_shares_are_those_of_the_letters_as_capitalised(table):
    assert [sense.names[0] for sense in table.of("pt")] == ["prothrombin time", "patient"]
    assert table.shares("PT") == pytest.approx([0.6, 0.3, 0.1])
    assert table.shares("pt") == pytest.approx([0.1, 0.9])
    assert "Pt" not in table and table.of("Pt") == () and table.shares("Pt") == []


def test_cues_move_them(table):
    likely = table.shares("PT", cues_of(["inr", "14"]))
    assert likely[1] > 0.9 and sum(likely) == pytest.approx(1)
    assert table.shares("PT", {"unheard"}) == table.shares("PT")
    assert table.shares("PT", cues_of([], ["plan"]))[0] > 0.6


def test_names_lead_to_spellings_and_senses(table):
    assert table.shorts("prothrombin") == [("PT", 1), ("pt", 0)]
    assert table.sense("pt", ["Prothrombin Time"]) == 0
    assert table.sense("pt", ["physical therapy"]) is None


def test_a_cue_is_a_word_a_number_or_of_the_heading():
    assert cues_of(["of", "the", "inr", "14"], ["laboratory", "of"]) == {
        "inr",
        NUMBER,
        f"{HEADING}laboratory",
    }


@pytest.mark.parametrize("content", ["PT physical therapy", "a\tPT=0.5", "a\tPT=x\t", "a\tPT\t"])
def test_what_is_no_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "no.tsv").write_text(content)
    with pytest.raises(GraphError, match=r"no\.tsv is no table of senses"):
        Senses(tmp_path / "no.tsv")
    with pytest.raises(GraphError, match="cannot be read"):
        Senses(tmp_path / "absent.tsv")


@settings(max_examples=20, deadline=None)
@given(
    said=st.sets(st.sampled_from(["inr", "coumadin", "thromboplastin", "#", "brought", "§plan"]))
)
def test_shares_of_the_package_are_shares(said):
    table = packaged()
    for short in ("PT", "pt", "RA", "PE"):
        shares = table.shares(short, said)
        assert math.isclose(sum(shares), 1) and all(0 <= share <= 1 for share in shares)


def test_the_package_tells_a_laboratory_value_from_a_therapist():
    table = packaged()
    names = [sense.names[0] for sense in table.of("PT")]
    shares = table.shares("PT", cues_of(["partial", "thromboplastin", "time"], ["laboratory"]))
    assert names[shares.index(max(shares))] == "prothrombin time"
    shares = table.shares("PT", cues_of(["continue", "work", "pain"], ["plan"]))
    assert names[shares.index(max(shares))] == "physical therapy"
    assert names[0] == "patient" and table.shares("pt")[0] > 0.9


_KEPT = []


def packaged():
    if not _KEPT:
        _KEPT.append(Senses(SENSES))
    return _KEPT[0]


@pytest.mark.slow
def test_the_same_notes_make_the_same_table(shared_data, tmp_path):
    command = [sys.executable, "-m", "benchmarks.senses", "make", str(tmp_path / "made.tsv")]
    seed = {**os.environ, "PYTHONHASHSEED": "7", "DREHR_SHARED_DATA": str(shared_data)}
    subprocess.run(command, check=True, env=seed, timeout=600)
    assert (tmp_path / "made.tsv").read_bytes() == SENSES.read_bytes()
