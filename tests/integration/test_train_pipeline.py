"""`drehr-rag train run`: steps of a TOML file, each done once, all checked before the first."""

import json
from pathlib import Path

import pytest

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
    (place / "stage1.jsonl").unlink()
    assert ran(run("train", "run", str(pipeline(place, seed=3)), "--json")) == [False, True]
    file = pipeline(place, seed=3)
    file.write_text(file.read_text().replace('"{here}/x.obo"', '"{here}/x.obo?licence=CC0-1.0"'))
    found = run("train", "run", str(file), "--json", "--dry-run")
    assert ran(found) == [True, True]
    assert all(step["seconds"] is None for step in json.loads(found[1]))


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


def test_the_benchmarks_pipeline_holds_only_commands_and_options_that_there_are(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = ROOT / "benchmarks" / "training.toml"
    assert all(ran(run("train", "run", recipe, "--dry-run", "--json")))


def test_a_damaged_record_of_what_is_done_says_so(place, run):
    file = pipeline(place)
    (place / "pipeline.done.json").write_text("{}")
    assert "pipeline.done.json is damaged" in refused(run("train", "run", str(file)), code=1)
