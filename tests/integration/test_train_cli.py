"""`drehr-rag train build-stage1`, as it is typed."""

import json

import pytest

from drehr_rag.kg import build_graph
from drehr_rag.training.examples import read_examples


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a graph, `kg`, and notes, `notes.jsonl`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heart.csv").write_text(
        "code,name,other,up\n"
        "1,Myocardial infarction,heart attack,2\n"
        "2,Heart disease,cardiac disease,\n"
    )
    columns = "id=code&term=name&synonyms=other&parent=up&prefix=D&parent_prefix=D"
    build_graph("kg", [f"heart.csv?{columns}"])
    text = "Heart attack (HA) in May, no cardiac disease before. " + "well " * 60
    rows = [
        {"note_id": f"n{i}", "subject": "p1", "text": text if i else "short", "cluster": f"c{i}"}
        for i in range(12)
    ]
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


BUILD = "train build-stage1 --notes notes.jsonl --kg kg --column patient_id=subject".split()


def test_a_build_from_the_command_line(run, place):
    code, out, err = run(*BUILD, "--output", "s1.jsonl.gz", "--denied", "negatives")
    assert (code, err) == (0, "")
    for said in ("notes dropped: under 50 words", "abbreviations kept", "synonyms", "hypernyms"):
        assert said in out
    examples = list(read_examples("s1.jsonl.gz"))
    assert len(examples) == 11
    assert examples[0].entities == (
        "heart attack",
        "Myocardial infarction",
        "Heart disease",
        "cardiac disease",
    )
    code, again, _ = run(*BUILD, "--output", "s1.jsonl.gz", "--denied", "negatives")
    assert (code, again) == (0, out)  # it was all done


def test_json_for_programs(run, place):
    options = "--synonyms 0 --hypernyms 0 --related 0 --no-own-definitions --keep cluster:0-5/10"
    code, out, _ = run(*BUILD, "--output", "s1.jsonl", "--json", *options.split())
    manifest = json.loads(out)
    assert code == 0
    assert manifest["counts"]["entities"] == 2 * manifest["examples"]
    assert manifest["settings"]["ratios"]["synonyms"] == 0
    assert manifest == json.loads((place / "s1.manifest.json").read_text())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--output", "s1.csv"], 2, "NAME.jsonl"),
        (["--output", "s1.jsonl", "--hypernyms", "2"], 2, "--hypernyms is CONCEPTSxTERMS"),
        (["--output", "s1.jsonl", "--keep", "cluster:0-12/10"], 2, "parts from 0 to 9"),
        (["--output", "s1.jsonl", "--keep", "group:0/10"], 1, "has no 'group' to split by"),
        (["--output", "s1.jsonl", "--model", "x"], 2, "--model goes with --llm-url"),
        (["--output", "s1.jsonl", "--cleaning", "none"], 2, "dr_ehr or cliniq"),
        (["--output", "s1.jsonl", "--boundaries", "none"], 2, "'words' or 'released'"),
        (["--output", "no/s1.jsonl"], 1, "cannot be written"),
        (["--output", "s1.jsonl", "--leave-out", "none.txt"], 1, "none.txt cannot be read"),
    ],
)
def test_mistakes_are_told(run, place, options, code, said):
    got, out, err = run(*BUILD, *options)
    assert (got, out) == (code, "")
    assert said in " ".join(err.split())
    assert not (place / "s1.jsonl").exists()


def test_other_settings_are_refused(run, place):
    assert run(*BUILD, "--output", "s1.jsonl")[0] == 0
    code, _, err = run(*BUILD, "--output", "s1.jsonl", "--seed", "3")
    assert code == 1
    assert "seed: 0 there, 3 here" in err
