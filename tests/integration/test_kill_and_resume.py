"""A run that is killed resumes to what an undisturbed run would have left. Kills are real."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import content

from drehr_rag.errors import StoreInUse
from drehr_rag.index import EhrIndex
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients

EVERYBODY = AllPatients(reason="test")
KILLS = 20

CHILD = """
import sys, time
from drehr_rag import indexing
from drehr_rag.index import EhrIndex
from drehr_rag.testing import HashEncoder
indexing.NOTES, indexing.CHARACTERS = 4, 200

class Slow(HashEncoder):
    def encode_passages(self, texts):
        time.sleep(0.02)
        return super().encode_passages(texts)

with EhrIndex.open(sys.argv[2], encoder=Slow()) as index:
    print("open", flush=True)
    index.add(sys.argv[1])
    print("done", flush=True)
"""


def write_notes(path, version=1, count=120):
    """Notes of some sections; version 2 edits every third and makes it shorter."""
    rng = random.Random(7)
    with path.open("w") as file:
        for i in range(count):
            lines = [f"HISTORY:\nword{rng.randint(0, 99)} of note {i}."]
            lines += [
                f"PLAN:\nstep {j} word{rng.randint(0, 99)}." for j in range(rng.randint(1, 4))
            ]
            if version == 2 and i % 3 == 0:
                lines = [lines[0] + " Edited."]
            row = {"note_id": f"n{i}", "patient_id": f"p{i % 5}", "text": "\n".join(lines)}
            file.write(json.dumps(row) + "\n")


def undisturbed(tmp_path, *sources):
    folder = tmp_path / "undisturbed.idx"
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        for source in sources:
            index.add(source)
    return content(folder)


def start(source, folder):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(source), str(folder)], stdout=subprocess.PIPE, text=True
    )


def kill_until_done(source, folder, rng, kills):
    """Kill `kills` runs at random points of their work, then let one finish."""
    killed = 0
    while killed < kills:
        child = start(source, folder)
        if rng.random() < 0.8:
            child.stdout.readline()  # it has opened the store
            time.sleep(rng.random() * 0.25)
        else:
            time.sleep(rng.random() * 0.6)  # perhaps while it makes or opens the store
        child.send_signal(signal.SIGKILL)
        out, _ = child.communicate()
        killed += "done" not in out
        if "done" in out:
            break
    return killed


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is of POSIX")
def test_killed_runs_resume_to_the_same_content(tmp_path):
    first, second = tmp_path / "v1.jsonl", tmp_path / "v2.jsonl"
    write_notes(first)
    write_notes(second, version=2)
    rng = random.Random(0)
    folder = tmp_path / "killed.idx"
    kills = 0
    for round_ in range(40):
        source = first if round_ % 2 == 0 else second  # back and forth: notes are replaced too
        kills += kill_until_done(source, folder, rng, 4)
        if kills >= KILLS and round_ % 2:
            break
    assert kills >= KILLS
    child = start(second, folder)
    out, _ = child.communicate(timeout=120)
    assert out.split() == ["open", "done"]
    expected = undisturbed(tmp_path, second)
    found = content(folder)
    assert found.keys() == expected.keys()
    assert found == expected


def test_a_second_process_is_told_who_has_it(tmp_path):
    source = tmp_path / "n.jsonl"
    write_notes(source, count=2000)
    folder = tmp_path / "x.idx"
    child = start(source, folder)
    try:
        assert child.stdout.readline() == "open\n"
        with pytest.raises(StoreInUse, match=f"in use by process {child.pid}"):
            EhrIndex.open(folder)
    finally:
        child.kill()
        child.wait()
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:  # the lock died with its holder
        with pytest.raises(StoreInUse, match=str(os.getpid())):
            EhrIndex.open(folder)
        assert index.count(scope=EVERYBODY) >= 0


class Breaks(HashEncoder):
    """Fails at the third batch: a fault injected between two writes."""

    calls = 0

    def encode_passages(self, texts):
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("the encoder died")
        return super().encode_passages(texts)


def test_a_run_that_fails_keeps_what_it_wrote_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("drehr_rag.indexing.NOTES", 4)
    monkeypatch.setattr("drehr_rag.indexing.CHARACTERS", 200)
    source = tmp_path / "n.jsonl"
    write_notes(source)
    folder = tmp_path / "x.idx"
    with EhrIndex.open(folder, encoder=Breaks()) as index:
        with pytest.raises(RuntimeError):
            index.add(source)
        written = index.info()["notes"]
        assert 0 < written < 120
        report = index.add(source)
        assert (report.unchanged, report.indexed) == (written, 120 - written)
    assert content(folder) == undisturbed(tmp_path, source)


def test_an_edited_note_replaces_its_chunks(tmp_path):
    first, second = tmp_path / "v1.jsonl", tmp_path / "v2.jsonl"
    write_notes(first)
    write_notes(second, version=2)
    folder = tmp_path / "x.idx"
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        index.add(first)
        report = index.add(second)
        assert (report.replaced, report.unchanged, report.indexed) == (40, 80, 0)
    assert content(folder) == undisturbed(tmp_path, second)
