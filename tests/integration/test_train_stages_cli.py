"""`drehr-rag train stage1` and `stage2` from the command line, and killed for real."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from unit.training import synonym_task as synonyms

from drehr_rag import load_encoder
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.training.examples import Example, read_examples, write_examples

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ["--steps", 4, "--batch", 6, "--positives", 3, "--no-bf16", "--device", "cpu"]


@pytest.fixture
def place(tmp_path):
    synonyms.save_model(tmp_path / "bert")
    synonyms.example_file(tmp_path, 40)
    synonyms.example_file(tmp_path, 30, seed=4, name="other.jsonl")
    return tmp_path


def files(place):
    return ["--examples", place / "examples.jsonl.gz", "--model", place / "bert"]


def small_devset(folder, *, extra):
    """Eight passages, each the answer to the query of its number; one more judged if `extra`."""
    folder.mkdir()
    names = "kao leo mio nea pia rio sol tau".split()

    def rows(texts):
        return "".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in texts)

    passages = [(f"n{i}_0", f"{name} {names[i - 1]}") for i, name in enumerate(names)]
    queries = [(f"q{i}", name) for i, name in enumerate(names)]
    judged = [(f"q{i}", f"n{i}_0") for i in range(8)] + [("q0", "n5_0")] * extra
    lines = ["query-id\tcorpus-id\tmatch", *(f"{q}\t{c}\tstring" for q, c in judged)]
    for name, text in (
        ("corpus.jsonl", rows(passages)),
        ("queries.jsonl", rows(queries)),
        ("qrels.tsv", "\n".join(lines) + "\n"),
    ):
        with gzip.open(folder / f"{name}.gz", "wt") as file:
            file.write(text)


def test_train_and_load(run, place):
    options = ["--examples", f"{place / 'other.jsonl'}=0.5", "--loss", "multi-similarity"]
    options += ["--variant", "wang2019", "--keep", 0.1, "--blend", 0.5, "--grad-cache-chunk", 8]
    options += ["--set", "freeze=0", "--set", "grouped=false", "--json"]
    code, out, err = run(
        "train", "stage1", *files(place), "--output", place / "m", *SMALL, *options
    )
    assert code == 0, err
    made = json.loads(out)
    assert made["steps"] == 4
    encoder = load_encoder(str(place / "m"), device="cpu")
    assert encoder.encode_queries(["kao"]).shape == (1, 32)
    manifest = json.loads((place / "m" / "training_manifest.json").read_text())
    settings = manifest["settings"]
    assert settings["loss_options"] == {"variant": "wang2019"}
    assert (settings["freeze"], settings["grouped"], settings["blend"]) == (0, False, 0.5)
    assert [one["weight"] for one in manifest["examples"]] == [1.0, 0.5]
    assert "from `bert`" in (place / "m" / "README.md").read_text()


def test_stage_2_needs_the_model_of_stage_1(run, place):
    options = ["--examples", place / "other.jsonl", "--preset", "dr-ehr-small-stage2"]
    code, _, err = run("train", "stage2", *options, "--output", place / "m")
    assert code == 2
    assert "goes on from stage 1's result" in err


def test_a_table_for_people_and_stage_2_from_stage_1(run, place):
    code, out, err = run("train", "stage1", *files(place), "--output", place / "one", *SMALL)
    assert code == 0, err
    assert "4 steps" in out and "loss" in out
    files2 = ["--examples", place / "other.jsonl", "--model", place / "one"]
    code, out, err = run("train", "stage2", *files2, "--output", place / "two", *SMALL)
    assert code == 0, err


def test_epochs_stand_in_place_of_a_presets_steps_and_twice_is_once(run, place):
    options = ["--batch", 20, "--positives", 2, "--no-bf16", "--set", "epochs=2"]
    words = ["train", "stage1", *files(place), "--output", place / "m", *options]
    code, out, err = run(*words, "--json")
    assert code == 0, err
    assert (json.loads(out)["steps"], json.loads(out)["taken"]) == (4, 4)
    code, out, err = run(*words)
    assert code == 0, err
    assert "4 steps (before)" in out and "steps/s" not in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "huge"], "there are dr-ehr-small-stage1"),
        (["--preset", "dr-ehr-small-stage2"], "train stage2"),
        (["--loss", "hinge"], "hinge"),
        (["--set", "colour=red"], "--set knows"),
        (["--set", "freeze=some"], "--set freeze=some"),
        (["--lr", "0"], "lr is 0"),
        (["--loss", "multi-similarity", "--variant", "x"], "no variant is called 'x'"),
        (["--variant", "released"], "infonce takes only temperature, symmetric, not variant"),
        (["--evaluate", "devset"], "needs the folder"),
        (["--examples", "x.jsonl=y"], "FILE=WEIGHT"),
        (["--examples", "nowhere.jsonl"], "cannot read"),
        (["--examples", "other.jsonl=-1"], "weight"),
        (["--output", "."], "is not empty"),
        (["--set", "epochs=3"], "steps stand in place of epochs"),
        (["--set", "freeze=9"], "freeze is 9 layers"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, said, run, place, monkeypatch):
    monkeypatch.chdir(place)
    code, _, err = run("train", "stage1", *files(place), "--output", "m", *SMALL, *options)
    assert code in (1, 2)
    assert "Traceback" not in err
    assert said in err


def test_what_is_measured_is_not_trained_on(run, place):
    passage = next(one for one in load_benchmark("ward").passages.values() if len(one.text) > 200)
    leak = Example(idx="copied_0", text=passage.text, entities=("kao", "leo"))
    write_examples(place / "leak.jsonl", [leak, *read_examples(place / "other.jsonl")])
    asked = ["--examples", place / "leak.jsonl", "--model", place / "bert", *SMALL]
    for held_out in (["--evaluate", "ward"], ["--against", "ward"]):
        code, _, err = run("train", "stage1", *asked, "--output", place / "m", *held_out)
        assert code == 1 and "1 of 31 examples are held out" in " ".join(err.split())
        assert not (place / "m").exists()
    options = ["--output", place / "m", "--against", "ward", "--allow-leakage"]
    code, _, err = run("train", "stage1", *asked, *options)
    assert code == 0, err
    found = json.loads((place / "m" / "training_manifest.json").read_text())["leakage"]
    assert (found["checked"], found["found"], found["allowed"]) == (31, {"copy": 1}, True)


def test_the_mean_of_several_benchmarks_decides(run, place):
    for name in ("a", "b"):
        small_devset(place / name, extra=name == "b")
    options = ["--evaluate", f"devset:{place / 'a'}", "--evaluate", f"devset:{place / 'b'}"]
    code, out, err = run(
        "train", "stage1", *files(place), "--output", place / "m", *SMALL, *options, "--json"
    )
    assert code == 0, err
    after = json.loads(out)["after"]
    assert next(iter(after)) == "mean nDCG@10"
    each = [after[f"devset:{place / name} nDCG@10"] for name in ("a", "b")]
    assert each[0] != each[1]
    assert after["mean nDCG@10"] == pytest.approx(sum(each) / 2)
    evaluated = json.loads((place / "m" / "training_manifest.json").read_text())["evaluated_on"]
    assert evaluated == f"devset:{place / 'a'}, devset:{place / 'b'}"


@pytest.mark.slow
def test_killed_and_resumed_to_the_same_bits(place):
    """SIGKILL after a checkpoint, in the middle of what follows."""
    whole, cut = place / "whole", place / "cut"
    steps = 60
    common = [*files(place), *SMALL, "--steps", steps, "--set", "save_every=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(output):
        words = [sys.executable, "-m", "drehr_rag.cli", "train", "stage1", *common]
        return [str(word) for word in [*words, "--output", output]]

    done = subprocess.run(command(whole), env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with subprocess.Popen(command(cut), env=environment, stderr=subprocess.DEVNULL) as running:
        while _steps(cut) < 5 and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert _steps(cut) < steps
    again = subprocess.run(command(cut), env=environment, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (cut / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    same = (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert same


def _steps(folder: Path) -> int:
    log = folder / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_hard_negatives_of_an_encoder(run, place):
    (place / "examples.manifest.json").write_text('{"licences": ["CC0"]}')
    words = ["train", "hard-negatives", place / "examples.jsonl.gz", "--encoder", place / "bert"]
    words += ["--output", place / "hard.jsonl.gz", "--most", 2, "--depth", 5]
    code, out, err = run(*words, "--json")
    assert code == 0, err
    before = {one.idx: one for one in read_examples(place / "examples.jsonl.gz")}
    after = list(read_examples(place / "hard.jsonl.gz"))
    assert [one.idx for one in after] == list(before)
    assert json.loads(out)["negatives"] == sum(len(one.negatives) for one in after) > 0
    for one in after:
        assert len(one.negatives) <= max(2, len(before[one.idx].negatives))
        assert not set(one.negatives) & set(one.entities)
    about = json.loads((place / "hard.manifest.json").read_text())
    assert about["licences"] == ["CC0"]
    assert about["hard_negatives"]["depth"] == 5
    assert run(*words)[0] == 0, "what it made it makes again"
    code, _, err = run(*words, "--output", place / "examples.jsonl.gz")
    assert code == 2 and "not of this command" in err
    code, _, err = run(*words[:2], place / "hard.jsonl.gz", *words[3:])
    assert code == 2 and "name another" in err


def test_both_directions(run, place):
    words = ["train", "stage1", *files(place), "--output", place / "m", *SMALL, "--symmetric"]
    code, _, err = run(*words)
    assert code == 0, err
    manifest = json.loads((place / "m" / "training_manifest.json").read_text())
    assert manifest["settings"]["loss_options"] == {"temperature": 0.05, "symmetric": True}
    code, _, err = run(*words, "--loss", "multi-similarity", "--output", place / "other")
    assert code != 0 and "not symmetric" in err
