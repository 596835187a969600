"""Pictures of results: they are PNG, the same each time, and matplotlib is named if it lacks."""

import sys

import pytest
from eval_results import made, rankings, task

from drehr_rag.errors import MissingExtra
from drehr_rag.eval.plots import write_plots
from drehr_rag.eval.scoring import score


@pytest.fixture
def results():
    on = task(10)
    runs = [rankings(on, seed) for seed in (1, 2)]
    return [made(f"r{i}", [], cells=score(on, r), task_=on, run=r) for i, r in enumerate(runs)]


def test_pictures(results, tmp_path):
    pytest.importorskip("matplotlib")
    found = write_plots(results, tmp_path / "new")
    names = ["bars-multi-patient.png", "bars-single-patient.png", "recall-by-depth.png"]
    assert [file.name for file in found] == names
    first = [file.read_bytes() for file in found]
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in first)
    assert [file.read_bytes() for file in write_plots(results, tmp_path / "new")] == first
    assert "matplotlib.pyplot" not in sys.modules


def test_a_missing_matplotlib_is_named(results, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"drehr-rag\[eval\]"):
        write_plots(results, tmp_path)
