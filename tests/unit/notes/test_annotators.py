"""Annotators: notes pass one by one, in order, with what is said of their words."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from itertools import count, islice, pairwise
from pathlib import Path

import pytest
from chat_server import Refused, chat_server
from how_often import tried
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import drehr_rag
from drehr_rag import EhrIndex
from drehr_rag.cli import app
from drehr_rag.errors import BadArgument, GeneratorError, MissingExtra, NoteError, UnknownName
from drehr_rag.generators import load_generator
from drehr_rag.kg import build_graph
from drehr_rag.notes.annotators import annotated, load_annotator
from drehr_rag.notes.annotators.genie import parts
from drehr_rag.notes.annotators.medspacy import MedSpacy
from drehr_rag.notes.readers import read_notes
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Mention, Note, Reject

TEXTS = [
    "Denies chest pain. Has gout.",
    "Family History:\nGout, stroke.\n\nHPI:\nPossible pneumonia.",
    "Chest pain at rest.",
]
TERMS = re.compile("chest pain|gout|stroke|pneumonia", re.IGNORECASE)


def find(text):
    return [match.span() for match in TERMS.finditer(text)]


def note(number, text=None, **fields):
    return Note(note_id=f"n{number}", patient_id="p1", text=text or TEXTS[number], **fields)


def said(made):
    return [(made.text[one.start : one.end], one.status) for one in made.mentions]


def test_rules_judge_in_the_whole_note():
    rules = load_annotator("rules", find=find)
    made = list(annotated(map(note, range(3)), rules))
    assert [said(one) for one in made] == [
        [("chest pain", "negated"), ("gout", "present")],
        [("Gout", "family"), ("stroke", "family"), ("pneumonia", "possible")],
        [("Chest pain", "present")],
    ]


def test_notes_keep_all_else_and_rejects_pass():
    given = note(0, note_type="Plan", metadata={"ward": "7b"}, mentions=[Mention(0, 6, "family")])
    given.read_from("notes.jsonl", 3)
    reject = Reject("notes.jsonl", 4, "broken JSON")
    made, passed = annotated([given, reject], load_annotator("rules", find=find))
    assert passed is reject
    assert made.model_copy(update={"mentions": ()}) == given.model_copy(update={"mentions": ()})
    assert made.origin == ("notes.jsonl", 3)
    assert len(made.mentions) == 2


@pytest.mark.parametrize("at_once", [1, 3])
def test_few_notes_are_held_of_a_stream_without_end(at_once):
    taken = count()
    stream = annotated((note(2, f"Gout {next(taken)}.") for _ in count()),
                       load_annotator("rules", find=find), at_once=at_once)  # fmt: skip
    assert [one.text for one in islice(stream, 50)] == [f"Gout {n}." for n in range(50)]
    assert next(taken) <= 50 + 2 * at_once


def test_what_comes_before_a_damage_is_given():
    def damaged():
        yield from map(note, range(3))
        raise NoteError("notes.jsonl.gz is damaged after line 3")

    stream = annotated(damaged(), load_annotator("rules", find=find), at_once=4)
    assert [one.note_id for one in islice(stream, 3)] == ["n0", "n1", "n2"]
    with pytest.raises(NoteError, match="damaged after line 3"):
        next(stream)


def test_mentions_outside_of_the_text_are_an_error():
    with pytest.raises(ValueError, match="reach to 99"):
        list(annotated([note(0)], lambda text: [Mention(0, 99, "present")]))


def test_an_unknown_annotator():
    with pytest.raises(UnknownName, match=r"no annotator is called 'genius'.*Did you mean 'genie'"):
        load_annotator("genius")
    with pytest.raises(BadArgument, match="at_once"):
        list(annotated([], load_annotator("rules", find=find), at_once=0))


# -- GENIE ---------------------------------------------------------------------------------------


def reply_of(prompt):
    text = prompt.removeprefix("Human:\n").removesuffix("\n\n Assistant:")
    words = [text[a:b] for a, b in find(text)]
    return json.dumps([{"phrase": word, "assertion_status": "possible"} for word in words])


def test_genie_is_asked_for_many_notes_at_a_time_and_they_keep_their_order():
    both = threading.Barrier(2, timeout=20)  # no reply before two were asked

    def say(prompt, number):
        both.wait()
        return reply_of(prompt)

    with (
        chat_server(say) as server,
        load_generator("openai", url=server.url, concurrency=2) as client,
    ):
        genie = load_annotator("genie", client=client, max_tokens=77)
        made = list(annotated((note(n % 3) for n in range(8)), genie, at_once=2))
        assert server.bodies[0]["max_tokens"] == 77
    assert [one.text for one in made] == [TEXTS[n % 3] for n in range(8)]
    assert {status for one in made for _, status in said(one)} == {"possible"}
    assert said(made[0])[0] == ("chest pain", "possible") and genie.lost == {}


TOO_LONG = Refused(400, {"error": {"message": "maximum context length is 10 tokens", "code": 400}})


@pytest.mark.parametrize(
    ("reply", "lost"),
    [
        ("I cannot do that.", {"no list": 1}),
        (TOO_LONG, {"no reply": 1}),
        (b'{"choices": [{"text": null}]}', {"no reply": 1}),
        (json.dumps([{"phrase": "Zebedee", "assertion_status": "absent"}]), {"not in the note": 1}),
        (json.dumps([{"phrase": "gout", "assertion_status": "eh"}]), {"unknown assertion": 1}),
    ],
)
def test_a_note_whose_reply_cannot_be_used_is_kept_without_mentions_and_counted(reply, lost):
    with (
        chat_server(lambda _, number: reply if number == 1 else "[]") as server,
        load_generator("openai", url=server.url) as client,
    ):
        genie = load_annotator("genie", client=client)
        made = list(annotated([note(0), note(1)], genie))
    assert made == [note(0), note(1)]
    assert genie.lost == lost


@tried(150)
@given(st.lists(st.sampled_from(["PLAN:\n", "Gout. ", "No rash\n\n", "x" * 30, " ", "HPI: "])))
def test_a_long_note_is_asked_for_in_parts_that_hold_every_word(pieces):
    text = "".join(pieces)
    cut = parts(text, most=40)
    assert cut == sorted(cut) and all(a[1] <= b[0] for a, b in pairwise(cut))
    assert "".join("".join(text[a:b] for a, b in cut).split()) == "".join(text.split())
    assert all(b - a <= 40 or "xx" in text[a:b] for a, b in cut)  # one sentence has more


def test_offsets_of_a_part_are_the_notes():
    text = "PLAN:\n" + "Has gout, no rash at all. " * 400
    with (
        chat_server(lambda prompt, _: reply_of(prompt)) as server,
        load_generator("openai", url=server.url) as client,
    ):
        (made,) = annotated([note(0, text)], load_annotator("genie", client=client))
        assert len(server.prompts) == -(-len(text) // 4_000)
    assert [one.start for one in made.mentions] == [a for a, _ in find(text)]


def test_a_server_that_would_answer_no_note_is_an_error_without_the_note():
    with (
        chat_server(lambda *_: 401) as server,
        load_generator("openai", url=server.url, retries=0) as client,
        pytest.raises(GeneratorError) as caught,
    ):
        list(annotated(map(note, range(3)), load_annotator("genie", client=client), at_once=2))
    assert "gout" not in str(caught.value).lower()


# -- the command ---------------------------------------------------------------------------------


def command(*arguments):
    done = CliRunner().invoke(app, ["annotate", *map(str, arguments)])
    return done, json.loads(done.stdout) if "--json" in arguments and done.stdout else None


@pytest.fixture
def notes(tmp_path):
    file = tmp_path / "notes.jsonl"
    rows = [note(n, metadata={"n": n}).model_dump_json() for n in range(3)]
    file.write_text("\n".join([*rows, "no note"]) + "\n")
    return file


def test_an_interrupted_annotation_goes_on_where_it_was(notes, tmp_path):
    out, asked = tmp_path / "out.jsonl", []

    def say(prompt, number):
        asked.append(prompt)
        return 401 if number == 2 else reply_of(prompt)

    with chat_server(say) as server:
        options = (notes, "--out", out, "--by", "genie", "--generator-url", server.url, "--json")
        first, _ = command(*options)
        assert isinstance(first.exception, GeneratorError) and not out.exists()
        memory = tmp_path / "out.jsonl.said"
        with memory.open("a") as file:
            file.write('["a1", [[0, ')  # as a kill may leave it
        before = memory.read_text().count("\n") - 1
        _, report = command(*options)
    assert report["held"] == before and report["annotated"] == 3
    made = list(read_notes(out))
    assert [one.note_id for one in made] == sorted(f"n{n}" for n in range(3))
    assert {said(one)[0][1] for one in made} == {"possible"}
    assert made[1].metadata == {"n": 1}
    assert out.stat().st_mode & 0o777 == 0o600
    assert "broken JSON" in (tmp_path / "out.jsonl.rejects").read_text()


def test_the_terms_of_the_packaged_graph_by_rules(notes, tmp_path):
    pytest.importorskip("daachorse")
    done, _ = command(notes, "--out", tmp_path / "out.jsonl")
    assert "3 notes with" in done.stdout and "1 rows are no notes" in done.stdout
    made = list(read_notes(tmp_path / "out.jsonl"))
    assert ("chest pain", "negated") in said(made[0])
    assert ("Gout", "family") in said(made[1])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--by", "genie"), "add --generator-url"),
        (("--generator-url", "http://localhost:1"), "go with --by genie"),
        (("--by", "genius"), "Did you mean"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, reason, notes, tmp_path, monkeypatch):
    monkeypatch.setattr("drehr_rag.cli.annotate._finder", lambda graph: find)
    done, _ = command(notes, "--out", tmp_path / "out.jsonl", *options)
    assert isinstance(done.exception, BadArgument) and reason in str(done.exception)


def test_no_file_of_somebody_else_is_touched(notes, tmp_path, monkeypatch):
    monkeypatch.setattr("drehr_rag.cli.annotate._finder", lambda graph: find)
    kept = tmp_path / "keep.txt"
    kept.write_text("my only copy")
    (tmp_path / "own.jsonl.said").write_text("my own words")
    before = notes.read_text()
    for out, reason in (
        (notes, "is among the notes to read"),
        (kept, "was not made by this command"),
        (tmp_path / "own.jsonl", "was not made by this command"),
    ):
        done, _ = command(notes, "--out", out)
        assert isinstance(done.exception, BadArgument) and reason in str(done.exception)
    done, _ = command(tmp_path, "--out", tmp_path / "new.jsonl")
    assert "is among the notes to read" in str(done.exception)
    assert notes.read_text() == before and kept.read_text() == "my only copy"
    assert (tmp_path / "own.jsonl.said").read_text() == "my own words"


def test_other_settings_do_not_pass_for_what_was_said(notes, tmp_path, monkeypatch):
    monkeypatch.setattr("drehr_rag.cli.annotate._finder", lambda graph: find)
    out, graph = tmp_path / "out.jsonl", tmp_path / "kg"
    (tmp_path / "terms.csv").write_text("id,term\nX:1,chest pain\n")
    build_graph(graph, [f"table:{tmp_path}/terms.csv?id=id&term=term"])
    command(notes, "--out", out)
    done, _ = command(notes, "--out", out, "--graph", graph)
    was, now = "said by rules, graph packaged, terms ", f", not by rules, graph {graph}, terms "
    assert was in str(done.exception) and now in str(done.exception)


def test_a_graph_built_anew_with_other_terms_is_another_graph(notes, tmp_path):
    pytest.importorskip("daachorse")
    out, graph = tmp_path / "out.jsonl", tmp_path / "kg"
    reasons = []
    for terms in ("X:1,chest pain", "X:1,chest pain", "X:1,chest pain\nX:2,gout"):
        (tmp_path / "terms.csv").write_text(f"id,term\n{terms}\n")
        shutil.rmtree(graph, ignore_errors=True)
        build_graph(graph, [f"table:{tmp_path}/terms.csv?id=id&term=term"])
        done, _ = command(notes, "--out", out, "--graph", graph)
        reasons.append(str(done.exception or ""))
    assert reasons[:2] == ["", ""] and "holds what was said by rules" in reasons[2]


def test_newer_notes_and_those_taken_back(notes, tmp_path, monkeypatch):
    """What is annotated follows its source: a changed note, one without text any more."""
    monkeypatch.setattr("drehr_rag.cli.annotate._finder", lambda graph: find)
    out = tmp_path / "out.jsonl"
    command(notes, "--out", out)
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        index.add(out)
        gone = json.loads(note(1).model_dump_json()) | {"text": ""}
        rows = [note(0, "Gout is gone.").model_dump_json(), json.dumps(gone)]
        notes.write_text("\n".join([*rows, note(2).model_dump_json()]) + "\n")
        _, report = command(notes, "--out", out, "--json")
        assert (report["annotated"], report["held"], report["rejected"]) == (2, 1, 1)
        index.add(out, rejects=tmp_path / "rejects")
        hits = index.search("gout", scope=AllPatients(reason="test"), k=20)
    assert {hit.chunk.note_id for hit in hits} == {"n0", "n2"}
    assert "Gout is gone." in {hit.chunk.text for hit in hits}


# -- medSpaCy ------------------------------------------------------------------------------------


class _Entity:
    def __init__(self, start, end, **said):
        self.start_char, self.end_char = start, end
        self._ = type("Underscore", (), said)()


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, "present"),
        ({"is_negated": True, "is_historical": True}, "negated"),
        ({"is_family": True, "is_negated": True}, "family"),
        ({"is_uncertain": True, "is_negated": False}, "possible"),
        ({"is_hypothetical": True}, "conditional"),
    ],
)
def test_a_pipelines_attributes_are_our_statuses(flags, status):
    class Pipeline:
        make_doc = staticmethod(lambda text: text)

        def __call__(self, doc):
            return type("Doc", (), {"ents": [_Entity(0, 4, **flags)]})

    assert list(MedSpacy(Pipeline())("Gout.")) == [Mention(0, 4, status)]


def test_without_medspacy_the_error_says_how_to_have_it():
    with pytest.raises(BadArgument, match="one of them"):
        load_annotator("medspacy")
    try:
        import medspacy  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(MissingExtra, match="pip install drehr-rag medspacy"):
            load_annotator("medspacy", find=find)


IN_ONE_PROCESS = """
import re, sys
from drehr_rag import EhrIndex, Patient, read_notes
from drehr_rag.notes.annotators import annotated, load_annotator
from drehr_rag.testing import HashEncoder

find = lambda text: [match.span() for match in re.finditer("(?i)chest pain", text)]
with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
    index.add(annotated(read_notes(sys.argv[1]), load_annotator("medspacy", find=find)),
              rejects="/dev/null")
    hits = index.search("chest pain", scope=Patient("p1"), mode="lexical")
print(dict(sorted((hit.chunk.note_id, hit.assertion) for hit in hits)))
assert all(hit.chunk.mentions for hit in hits)
"""


def test_medspacy_in_an_environment_of_its_own(notes, tmp_path):
    python = os.environ.get("DREHR_MEDSPACY_PYTHON")
    if not python:
        pytest.skip("no environment with medspacy: set DREHR_MEDSPACY_PYTHON to its python")
    out = tmp_path / "out.jsonl"
    options = {
        "env": {**os.environ, "PYTHONPATH": str(Path(drehr_rag.__file__).parents[1])},
        "capture_output": True,
        "text": True,
        "timeout": 300,
    }
    command = [python, "-m", "drehr_rag.cli", "annotate", notes, "--by", "medspacy", "--out", out]
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert "Denies" not in done.stderr and python != sys.executable
    made = list(read_notes(out))
    assert ("chest pain", "negated") in said(made[0])
    assert {("Gout", "family"), ("pneumonia", "possible")} <= set(said(made[1]))
    assert ("Chest pain", "present") in said(made[2])
    script = subprocess.run([python, "-c", IN_ONE_PROCESS, notes], check=False, **options)
    assert script.stdout == "{'n0': 'negated', 'n2': 'present'}\n", script.stderr
