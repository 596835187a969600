"""The commands of stage 2 and of the guard, on the ward and a language model of this machine."""

import json

import pytest
from chat_server import chat_server

from drehr_rag import ward
from drehr_rag.training.examples import read_examples


@pytest.fixture
def notes(tmp_path):
    file = tmp_path / "ward.jsonl"
    some = [note for note in ward.notes() if note.patient_id in ("p01", "p04")]
    file.write_text("\n".join(note.model_dump_json() for note in some))
    return file


def say(prompt, _):
    return "- heart failure\n- None\n- furosemide" if "furosemide" in prompt else "None"


def test_build_stage2_with_a_model(run, tmp_path, notes):
    output = tmp_path / "stage2.jsonl.gz"
    with chat_server(say) as server:
        options = (
            "--notes",
            notes,
            "--llm-url",
            server.url,
            "--type",
            "diagnosis",
            "--output",
            output,
        )
        code, out, err = run("train", "build-stage2", *options)
        assert (code, err) == (0, "")
        asked = len(server.prompts)
        again, _, _ = run("train", "build-stage2", *options)
        assert (again, len(server.prompts)) == (0, asked)
    examples = list(read_examples(output))
    assert len(examples) > 1
    assert {example.entities for example in examples} == {("heart failure", "furosemide")}
    for line in ("requests", "entities: diagnosis", "refused: says there is none", "examples"):
        assert line in out
    manifest = json.loads((tmp_path / "stage2.manifest.json").read_text())
    assert manifest["settings"]["model"] == "tiny-chat"
    assert manifest["counts"]["requests"] == asked == manifest["chunks"]


def test_the_guard_in_a_build_and_alone(run, tmp_path, notes):
    held, output, every = (tmp_path / name for name in ("ids.txt", "a.jsonl", "b.jsonl"))
    held.write_text("nobody\n")
    with chat_server(lambda *_: "- gout") as server:
        build = ("train", "build-stage2", "--notes", notes, "--llm-url", server.url, "--json")
        guard = ("--against", "ward", "--held-out", held)
        _, out, _ = run(*build, "--output", output, *guard)
        left = list(read_examples(output))  # the end of a note, too short to be told from an idiom
        assert [len(example.text.split()) for example in left] == [11]
        assert json.loads(out)["counts"]["requests"] == len(server.prompts) == 3
        _, out, _ = run(*build, "--output", every, *guard, "--allow-leakage")
    manifest = json.loads(out)
    assert manifest["settings"]["allow_leakage"] is True
    leaking = manifest["counts"]["held out, used all the same: copy"]
    assert leaking == manifest["chunks"] - 1 > 20
    code, out, _ = run("train", "check", every, *guard, "--leaks", tmp_path / "leaks.jsonl")
    assert code == 1
    assert f"{leaking:,} by copy" in out
    assert "none of the 1 held-out ids occurs" in out
    leaks = [json.loads(line) for line in (tmp_path / "leaks.jsonl").read_text().splitlines()]
    assert len(leaks) == leaking
    assert set(leaks[0]) == {"idx", "held_out", "kind", "overlap", "source"}
    code, out, _ = run("train", "check", every, *guard, "--allow-leakage", "--json")
    assert (code, json.loads(out)["checked"]) == (0, manifest["chunks"])
    code, out, _ = run("train", "check", every, "--held-out", held)
    assert (code, "none leaks" in out) == (0, True)


def test_build_stage2_from_labels(run, tmp_path, notes):
    table = tmp_path / "labels.csv"
    table.write_text("note_id,entity\np04-n3,STEMI\np04-n3,myocardial infarction\n")
    output = tmp_path / "a.jsonl"
    options = ("--annotations", f"table:{table}", "--notes", notes, "--output", output)
    code, out, _ = run("train", "build-stage2", *options)
    assert code == 0
    assert "labels" in out
    assert all(example.idx.startswith("p04-n3_") for example in read_examples(output))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 2, "name one: --llm-url"),
        (("--llm-url", "http://localhost:1/v1", "--annotations", "vaers:x"), 2, "name one"),
        (("--annotations", "vaers:none.zip", "--keep", "a:0/2"), 2, "--keep goes with --llm-url"),
        (("--annotations", "vaers:x", "--shortest", "0"), 2, "--shortest goes with --llm-url"),
        (("--annotations", "vaers:x", "--type", "diagnosis"), 2, "--type goes with --llm-url"),
        (("--annotations", "vaers:x", "--form", "json"), 2, "--form goes with --llm-url"),
        (("--annotations", "vaers:x", "--model", "m"), 2, "--model goes with --llm-url"),
        (("--annotations", "vaers:x", "--temperature", "0"), 2, "--temperature goes with"),
        (("--annotations", "vaers:x", "--max-tokens", "9"), 2, "--max-tokens goes with"),
        (("--annotations", "vaers:x", "--note-type", "DS"), 2, "--note-type goes with"),
        (("--annotations", "vaers:none.zip"), 1, "none.zip cannot be read"),
        (("--annotations", "vaers:x", "--held-out", "none.txt"), 1, "none.txt cannot be read"),
        (("--annotations", "vaers:x", "--against", "wards"), 2, "no benchmark is called 'wards'"),
        (("--annotations", "vaers:x", "--templates", "some"), 2, "--templates is drop or keep"),
        (("--llm-url", "http://localhost:1/v1"), 1, "no notes are named"),
    ],
)
def test_commands_that_cannot_be_meant(run, tmp_path, options, code, said):
    found, _, err = run("train", "build-stage2", *options, "--output", tmp_path / "a.jsonl")
    assert found == code
    assert said in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []
