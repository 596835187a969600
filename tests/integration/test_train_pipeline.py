"""`drehr-rag train run`: steps of a TOML file, each done once, all checked before the first."""

import json
from pathlib import Path

import pytest

from drehr_rag.errors import TrainingError

ROOT = Path(__file__).parents[2]

OBO = '[Term]\nid: X:1\nname: {name}\nsynonym: "heart attack" EXACT []\n'
NOTE = {"note_id": "n1", "patient_id": "p1", "text": "He had a heart attack in May. " * 12}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "x.obo").write_text(OBO.format(name="myocardial infarction"))
    (tmp_path / "notes.jsonl").write_text(json.dumps(NOTE) + "\n")
    return tmp_path


def pipeline(place, *, kg="kg", more="", seed=0):
    file = place / "pipeline.toml"
    file.write_text(
        f"""
[names]
here = "{place}"

[[step]]
run = "kg build"
arguments = ["{{here}}/kg", "{{here}}/x.obo"]

[[step]]
run = "train build-stage1"
notes = ["{{here}}/notes.jsonl"]
{kg} = "{{here}}/kg"
output = "{{here}}/stage1.jsonl"
own_definitions = false
seed = {seed}
{more}"""
    )
    return file


def ran(found):
    code, out, err = found
    assert code == 0, err
    return [step["left"] for step in json.loads(out)]


def refused(found, *, code):
    assert found[0] == code, found
    return " ".join(found[2].split())


def test_each_step_is_done_once(place, run):
    file = pipeline(place)
    assert ran(run("train", "run", str(file), "--json")) == [True, True]
    [example] = map(json.loads, (place / "stage1.jsonl").read_text().splitlines()[:1])
    assert set(example["entities"]) == {"heart attack", "myocardial infarction"}
    assert ran(run("train", "run", str(file), "--json")) == [False, False]
    assert ran(run("train", "run", str(file), "--json", "--again")) == [True, True]


def test_what_follows_a_changed_step_runs_again(place, run):
    run("train", "run", str(pipeline(place)))
    (place / "stage1.jsonl").unlink()
    assert ran(run("train", "run", str(pipeline(place)), "--json")) == [False, True]
    file = pipeline(place, seed=3)
    assert "built with other settings" in refused(run("train", "run", str(file)), code=1)
    assert ran(run("train", "run", str(file), "--json", "--replace")) == [False, True]
    manifest = json.loads((place / "stage1.manifest.json").read_text())
    assert manifest["settings"]["seed"] == 3
    assert ran(run("train", "run", str(file), "--json", "--replace")) == [False, False]
    file.write_text(file.read_text().replace('"{here}/x.obo"', '"{here}/x.obo?licence=CC0-1.0"'))
    found = run("train", "run", str(file), "--json", "--dry-run")
    assert ran(found) == [True, True]
    assert all(step["seconds"] is None for step in json.loads(found[1]))


def test_an_edited_file_is_seen(place, run):
    file = pipeline(place)
    run("train", "run", str(file))
    (place / "x.obo").write_text(OBO.format(name="infarct of the heart"))
    assert ran(run("train", "run", str(file), "--json", "--replace")) == [True, True]
    [example] = map(json.loads, (place / "stage1.jsonl").read_text().splitlines()[:1])
    assert "infarct of the heart" in example["entities"]
    (place / "notes.jsonl").write_text(json.dumps({**NOTE, "note_id": "n2"}) + "\n")
    assert "built with other" in refused(run("train", "run", str(file)), code=1)
    assert ran(run("train", "run", str(file), "--json", "--replace")) == [False, True]


def test_what_is_no_build_is_not_taken_away(place, run):
    (place / "stage1.jsonl").write_text("precious")
    file = pipeline(place)
    for option in ("--again", "--replace"):
        assert "stage1.jsonl" in refused(run("train", "run", str(file), option), code=1)
        assert (place / "stage1.jsonl").read_text() == "precious"


@pytest.fixture
def training(place):
    """A pipeline of one training, on a model of random numbers."""
    pytest.importorskip("accelerate")
    from unit.training import synonym_task as synonyms

    synonyms.save_model(place / "bert")
    synonyms.example_file(place, 24)
    file = place / "pipeline.toml"

    def written(steps):
        file.write_text(
            f"""
[[step]]
run = "train stage1"
model = "{place}/bert"
examples = ["{place}/examples.jsonl.gz"]
output = "{place}/model"
steps = {steps}
batch = 4
positives = 2
bf16 = false
device = "cpu"
set = ["save_every=2"]
"""
        )
        return file

    return written


def test_a_training_that_was_interrupted_goes_on(training, place, run, monkeypatch):
    from drehr_rag.training import trainer

    file = training(6)
    real = trainer.ContrastiveTrainer.training_step
    taken = []

    def step(self, *given, **named):
        if len(taken) == 5:
            raise TrainingError("the power is gone")
        taken.append(self.state.global_step)
        return real(self, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.ContrastiveTrainer, "training_step", step)
        assert "the power is gone" in refused(run("train", "run", str(file)), code=1)
    assert (place / "model" / "checkpoints" / "checkpoint-4").exists()
    monkeypatch.setattr(trainer.ContrastiveTrainer, "training_step", counted(real, taken := []))
    assert ran(run("train", "run", str(file), "--json")) == [True]
    assert taken == [4, 5]
    assert ran(run("train", "run", str(file), "--json")) == [False]
    assert ran(run("train", "run", str(file), "--json", "--again")) == [True]
    assert taken == [4, 5, *range(6)]
    file = training(2)
    assert "other settings (steps)" in refused(run("train", "run", str(file)), code=1)
    assert ran(run("train", "run", str(file), "--json", "--replace")) == [True]
    assert taken[8:] == [0, 1]


def counted(real, taken):
    def step(self, *given, **named):
        taken.append(self.state.global_step)
        return real(self, *given, **named)

    return step


def test_every_step_is_checked_before_the_first_runs(place, run):
    said = refused(run("train", "run", str(pipeline(place, kg="gk"))), code=2)
    assert "step 2 (train build-stage1)" in said and "--gk" in said
    assert not (place / "kg").exists()
    file = place / "other.toml"
    for text, said in (
        ("[[step]]\nrun = 'train nothing'", "there is no such command"),
        ("[[step]]\nrun = 'kg'", "there is no such command"),
        ("[[step]]\noutput = 'x'", "does not say what to run"),
        ("[[step]]\nrun = 'kg build'\narguments = ['{nowhere}/kg']", "[names] (none)"),
        ("[[step]]\nrun = 'kg build'\n[step.x]\ny = 1", "lists of them"),
        ("step = 3", "has no [[step]]"),
        ("[other]", "has other"),
        ("[[step", "is not TOML"),
    ):
        file.write_text(text)
        code, _, err = run("train", "run", str(file))
        assert code in (1, 2) and said in " ".join(err.split()), text


def test_an_error_names_its_step_and_the_next_run_goes_on_there(place, run):
    file = pipeline(place)
    (place / "notes.jsonl").rename(place / "away")
    assert "step 2 (train build-stage1)" in refused(run("train", "run", str(file)), code=1)
    (place / "away").rename(place / "notes.jsonl")
    assert ran(run("train", "run", str(file), "--json")) == [False, True]


def test_the_benchmarks_pipeline_holds_only_commands_that_there_are(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = ROOT / "benchmarks" / "training.toml"
    assert all(ran(run("train", "run", recipe, "--dry-run", "--json")))


def test_a_damaged_record_of_what_is_done_says_so(place, run):
    file = pipeline(place)
    (place / "pipeline.done.json").write_text("{}")
    assert "pipeline.done.json is damaged" in refused(run("train", "run", str(file)), code=1)
