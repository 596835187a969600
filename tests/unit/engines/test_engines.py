"""Engines: which there are, what they take, and that none of them decides anything."""

import gzip
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import ROOT, content

from drehr_rag import ward
from drehr_rag._registry import names
from drehr_rag.engines import _ray_session, load_engine
from drehr_rag.engines._ray_worker import notes_of, read_source
from drehr_rag.engines.local import LocalEngine
from drehr_rag.errors import BadArgument, NoNotes, NoteError, NoteRejected, UnknownName
from drehr_rag.index import EhrIndex
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Note, Reject


def test_engines_are_found_by_name():
    assert names("drehr_rag.engines") == ["local", "ray"]
    with pytest.raises(UnknownName, match="no engine is called 'spark': there are local, ray"):
        load_engine("spark")
    with pytest.raises(UnknownName, match="the engine local has no options, not workers"):
        load_engine("local", workers=2)
    with pytest.raises(UnknownName, match="takes only workers, gpus_per_worker, not gpus"):
        load_engine("ray", gpus=2)


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"gpus_per_worker": -1}, {"gpus_per_worker": float("nan")}]
)
def test_numbers_that_cannot_be_meant(wrong):
    with pytest.raises(BadArgument, match=f"{next(iter(wrong))} is "):
        load_engine("ray", **wrong)


def drehr(*arguments, before=""):
    code = f"{before}\nfrom drehr_rag.cli import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_without_the_extra_the_command_to_type_is_told_and_nothing_made(tmp_path):
    source = tmp_path / "n.jsonl"
    source.write_text(ward.notes()[0].model_dump_json())
    arguments = ("index", source, "--store", tmp_path / "x", "--engine", "ray")
    done = drehr(*arguments, before="import sys; sys.modules['ray'] = None")
    assert done.returncode == 1
    assert "ray is not installed: pip install 'drehr-rag[ray]'" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "x").exists()


def test_workers_go_with_ray(tmp_path):
    source = tmp_path / "n.jsonl"
    source.write_text(ward.notes()[0].model_dump_json())
    done = drehr("index", source, "--store", tmp_path / "x", "--workers", "2")
    assert done.returncode == 2 and "go with --engine ray" in done.stderr


# --- an engine decides nothing


class Backwards(LocalEngine):
    """Holds everything back, then gives it in the reverse order: worse than any cluster."""

    def encode(self, blocks, parts):
        yield from reversed(list(super().encode(blocks, parts)))


def troubled():
    notes = ward.notes()
    back = Reject("f", 8, "entered in error", notes[2].note_id, notes[2].patient_id, retracted=True)
    return [
        *notes,
        Reject("f", 7, "broken JSON"),
        notes[1],
        notes[1].model_copy(update={"text": "PLAN:\nSomething else."}),
        back,
        Note(note_id="empty", patient_id="p", text="[**1234**]"),
    ]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("drehr_rag.indexing.NOTES", 8)
    monkeypatch.setattr("drehr_rag.indexing.CHARACTERS", 5_000)


def indexed(folder, engine):
    with EhrIndex.open(folder, encoder=HashEncoder(), chunker="words") as index:
        index.add([note.model_copy(update={"text": "Old."}) for note in ward.notes()[:9]])
        report = asdict(index.add(troubled(), engine=engine))
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    for varies in ("seconds", "encoding_seconds", "rejects_file"):
        report.pop(varies)
    return report, sorted(str((r["line"], r["note_id"], r["reason"])) for r in rejects)


def test_blocks_may_come_back_late_and_in_any_order(tmp_path):
    expected = indexed(tmp_path / "one", load_engine("local"))
    assert indexed(tmp_path / "many", Backwards()) == expected
    found = content(tmp_path / "many")
    assert found == content(tmp_path / "one")
    assert "Old." not in {payload["text"] for payload, *_ in found.values()}
    report, rejects = expected
    assert (report["replaced"], report["unchanged"], report["rejected"]) == (9, 1, 4)
    assert sum("older version was removed" in reject for reject in rejects) == 1


def test_strict_keeps_what_came_before_even_if_it_comes_late(tmp_path):
    rows = [*ward.notes()[:30], Reject("f", 31, "broken"), *ward.notes()[30:]]
    with EhrIndex.open(tmp_path / "x", encoder=HashEncoder()) as index:
        with pytest.raises(NoteRejected, match="f:31: broken"):
            index.add(rows, strict=True, engine=Backwards())
        assert index.info()["notes"] == 30


# --- sources read elsewhere


def elsewhere(path, fields=None):
    """As Ray hands it on: in lists, from a process that stands in another folder."""
    here, row = str(Path.cwd()), {"number": 3, "path": str(path)}
    rows = list(read_source(row, folder=here, format=None, fields=fields))
    assert all(row["number"] == 3 for row in rows)
    return notes_of(rows)


def test_notes_read_elsewhere_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [note.model_dump_json() for note in ward.notes()] * 2
    Path("n.jsonl").write_text("\n".join([*lines, "{broken"]))
    found, expected = list(elsewhere(Path("n.jsonl"))), list(read_notes(Path("n.jsonl")))
    assert found == expected and isinstance(found[-1], Reject)
    assert [note.origin for note in found[:-1]] == [note.origin for note in expected[:-1]]
    assert found[0].origin == ("n.jsonl", 1)


def test_an_error_arrives_after_the_notes_before_it(tmp_path):
    whole = gzip.compress((ward.notes()[0].model_dump_json() + "\n").encode() + os.urandom(9_000))
    (tmp_path / "n.jsonl.gz").write_bytes(whole[:-3_000])
    notes = elsewhere(tmp_path / "n.jsonl.gz")
    assert next(notes) == ward.notes()[0]
    with pytest.raises(NoteError, match="is damaged after line"):
        list(notes)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(NoNotes, match="holds no note"):
        list(elsewhere(tmp_path / "empty.jsonl"))


def test_what_is_logged_elsewhere_is_logged_once_here(tmp_path, caplog):
    (tmp_path / "n.jsonl").write_text(ward.notes()[0].model_dump_json())
    rows = elsewhere(tmp_path / "n.jsonl", Fields({"encounter_id": "stay"}))
    caplog.clear()  # what was said there
    assert [note.note_id for note in rows] == [ward.notes()[0].note_id]
    assert [record.getMessage() for record in caplog.records] == [
        f"no line of {tmp_path / 'n.jsonl'} has stay"
    ]
    assert logging.getLogger("drehr_rag").handlers == []


def test_the_folder_of_a_run_that_was_killed_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(_ray_session, "Path", lambda _: tmp_path)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, alive = tmp_path / f"drehr-ray-{child.pid}-x", tmp_path / f"drehr-ray-{os.getpid()}-x"
    for folder in (dead, alive):
        (folder / "ray").mkdir(parents=True)
    mine = Path(_ray_session._own_folder())
    assert mine.parent == tmp_path and mine.stat().st_mode & 0o777 == 0o700
    assert (dead.exists(), alive.exists()) == (False, True)
