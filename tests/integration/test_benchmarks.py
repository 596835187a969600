"""`benchmarks.main_job` runs from end to end on a little of the real notes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks.main_job"]


def job(*options, **environment):
    return subprocess.run(
        [*COMMAND, *map(str, options)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


@pytest.mark.slow
def test_quick_run_fills_every_table(shared_data, tmp_path):
    page, file = tmp_path / "page.md", tmp_path / "facts.json"
    page.write_text("# Measurements\n\nBy hand.\n")
    run = job("--quick", "--markdown", page, "--json", file, DREHR_SHARED_DATA=str(shared_data))
    assert run.returncode == 0, run.stderr
    text = page.read_text()
    tables = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    titles = [table.split("\n", 1)[0] for table in tables]
    assert {title[0] for title in titles} == set("ABCD")
    for table in tables:
        rows = [line for line in table.split("\n") if line.startswith("| ")]
        assert len(rows) >= 4, table
        assert "nan" not in table, table
    for title in titles:
        assert title in run.stdout
        assert "quick" in title
    assert "By hand." in text
    assert "QUICK RUN" in text
    facts = json.loads(file.read_text())
    assert set(facts["parts"]) == {"indexing", "overhead", "latency", "ranking"}
    for name in ("MTSamples", "ACI-Bench", "PriMock57", "VAERS 2004"):
        report = facts["parts"]["indexing"]["reports"][name]
        assert report["indexed"] > 0
        assert report["rejected"] == 0
    for name in ("mtsamples", "vaers2004"):
        for scores in facts["parts"]["ranking"][name]["all"].values():
            assert 0 < scores["nDCG@10"] <= 1


def test_says_where_the_data_should_be(tmp_path):
    run = job("--quick", DREHR_SHARED_DATA=str(tmp_path))
    assert run.returncode == 1
    assert "set DREHR_SHARED_DATA" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_block_is_replaced_and_the_rest_stays(tmp_path):
    from benchmarks.tables import write_block

    page = tmp_path / "page.md"
    page.write_text("# Page\n\nBefore.\n")
    write_block(page, "a", "old \\1")
    write_block(page, "b", "other")
    page.write_text(page.read_text() + "\nAfter.\n")
    write_block(page, "a", "new \\2")
    text = page.read_text()
    assert "old" not in text
    for part in ("Before.", "new \\2", "other", "After."):
        assert text.count(part) == 1


@pytest.mark.slow
def test_scale_measures_every_size_and_goes_on_where_it_was(shared_data, tmp_path):
    command = [sys.executable, "-m", "benchmarks.scale", "--folder", str(tmp_path / "run")]
    command += ["--every", "150", "--size"]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "check": True, "timeout": 540}
    environment = {**os.environ, "DREHR_SHARED_DATA": str(shared_data)}
    subprocess.run([*command, "1000"], env=environment, **options)
    first = json.loads((tmp_path / "run" / "scale.json").read_text())
    out = tmp_path / "facts.json"
    run = subprocess.run([*command, "1000", "2000", "--json", str(out)], env=environment, **options)
    facts = json.loads(out.read_text())
    assert facts["1000"] == first["1000"], "a step that was done was done again"
    assert facts["2000"]["write"]["chunks"] == 1000, "sizes are not cumulative"
    assert facts["2000"]["search"]["info"]["chunks"] == facts["2000"]["change"]["chunks"] == 2000
    assert facts["2000"]["search"]["recall"]["all patients, 100"]["mean"] == 1, (
        "search is exact here"
    )
    assert facts["2000"]["change"]["gone"] > 0 == facts["2000"]["change"]["left"]
    assert "all patients, hybrid" in run.stdout and "2,000" in run.stdout
