"""Builds of examples: in order, resumed after a kill, refused where something else differs."""

import asyncio
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from unit.training import build_child

from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.building import build, build_async
from drehr_rag.training.examples import read_examples
from drehr_rag.training.journal import Journal
from drehr_rag.training.outcomes import Outcome

COUNT = 240
GIVEN = {"settings": {"seed": 1}, "sources": {"notes.jsonl": "abc"}}


def files(output):
    """Names and bytes of what a build left, without what tells of time."""
    found = {file.name: file.read_bytes() for file in output.parent.iterdir()}
    name = output.name.split(".")[0] + ".manifest.json"
    manifest = json.loads(found[name])
    del manifest["seconds"]
    return found | {name: manifest}


@pytest.fixture
def whole_build(tmp_path):
    output = tmp_path / "whole" / "out.jsonl.gz"
    output.parent.mkdir()
    build_child.run(output, "sync", COUNT)
    return files(output)


def test_what_it_writes(tmp_path):
    output = tmp_path / "out.jsonl"
    manifest = build_child.run(output, "sync", 10)
    assert [example.idx for example in read_examples(output)] == [
        f"n{i // 3}_{i % 3}" for i in range(10) if i % 5 != 4
    ]
    assert {k: manifest[k] for k in ("chunks", "examples", "counts", "failures", "settings")} == {
        "chunks": 10,
        "examples": 8,
        "counts": {"empty": 2, "mentions": 32},
        "failures": {"nothing found": 2},
        "settings": {"seed": 1},
    }
    failures = (tmp_path / "out.failures.jsonl").read_text().splitlines()
    assert json.loads(failures[0]) == {"idx": "n1_1", "reason": "nothing found"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.failures.jsonl",
        "out.jsonl",
        "out.manifest.json",
    ]
    assert output.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", ["processes", "async"])
def test_the_same_bytes_however_it_is_done(tmp_path, whole_build, how):
    output = tmp_path / "out.jsonl.gz"
    (tmp_path / how).mkdir()
    output = tmp_path / how / "out.jsonl.gz"
    build_child.run(output, how, COUNT)
    assert files(output) == whole_build


@pytest.mark.parametrize("how", ["sync", "processes", "async"])
def test_killed_builds_go_on_without_loss_or_repetition(tmp_path, whole_build, how):
    (tmp_path / how).mkdir()
    output = tmp_path / how / "out.jsonl.gz"
    rng, kills = random.Random(how), 0
    command = [sys.executable, build_child.__file__, output, how, str(COUNT), "0.004"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    for _ in range(12):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        child.stdout.readline()
        time.sleep(rng.random() * 0.25)
        child.send_signal(signal.SIGKILL)
        out, _ = child.communicate()
        kills += "done" not in out
        if kills == 4 or "done" in out:
            break
    assert kills >= 3
    build_child.run(output, how, COUNT)
    assert files(output) == whole_build


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_line_that_is_half_written_is_done_again(tmp_path, whole_build, cut):
    output = tmp_path / "k" / "out.jsonl.gz"
    output.parent.mkdir()
    begin(output, stop_at=100)
    journal = output.with_name("out.journal")
    os.truncate(journal, journal.stat().st_size - cut)
    build_child.run(output, "sync", COUNT)
    assert files(output) == whole_build


class Killed(Exception):
    """Stands for a kill at a known place."""


def begin(output, *, stop_at):
    def work(chunk):
        if int(chunk.text.split()[1]) == stop_at:
            raise Killed
        return build_child.outcome(chunk)

    with pytest.raises(Killed):
        build(build_child.chunks(COUNT), work, output, **GIVEN)


def test_only_what_is_left_is_worked_on(tmp_path):
    begin(tmp_path / "out.jsonl", stop_at=100)
    seen = []

    def work(chunk):
        seen.append(int(chunk.text.split()[1]))
        return build_child.outcome(chunk)

    build(build_child.chunks(COUNT), work, tmp_path / "out.jsonl", **GIVEN)
    assert seen == list(range(100, COUNT))


def test_other_settings_do_not_go_on(tmp_path):
    begin(tmp_path / "out.jsonl", stop_at=9)
    with pytest.raises(TrainingError, match=r"seed: 1 there, 2 here.*delete it"):
        build_child.run(tmp_path / "out.jsonl", "sync", COUNT, seed=2)
    build_child.run(tmp_path / "out.jsonl", "sync", COUNT)
    with pytest.raises(TrainingError, match=r"seed: 1 there, 2 here.*name another output"):
        build_child.run(tmp_path / "out.jsonl", "sync", COUNT, seed=2)


def test_other_notes_do_not_go_on(tmp_path):
    output = tmp_path / "out.jsonl"
    begin(output, stop_at=9)
    other = GIVEN | {"sources": {"notes.jsonl": "abd"}}
    with pytest.raises(TrainingError, match=r"notes\.jsonl: 'abc' there, 'abd' here"):
        build(build_child.chunks(COUNT), build_child.outcome, output, **other)
    with pytest.raises(TrainingError, match="with other notes"):
        build(reversed(list(build_child.chunks(COUNT))), build_child.outcome, output, **GIVEN)
    with pytest.raises(TrainingError, match="with other notes"):
        build(build_child.chunks(3), build_child.outcome, output, **GIVEN)


def test_a_finished_build_is_not_done_again(tmp_path):
    first = build_child.run(tmp_path / "out.jsonl", "sync", 10)

    def never(chunk):
        raise AssertionError(chunk)

    assert build(iter(()), never, tmp_path / "out.jsonl", **GIVEN) == first


def test_a_file_of_somebody_else_stays(tmp_path):
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(TrainingError, match=r"without out\.manifest\.json: name another output"):
        build_child.run(tmp_path / "out.jsonl", "sync", 10)
    with pytest.raises(BadArgument, match=r"NAME\.jsonl"):
        build_child.run(tmp_path / "out.csv", "sync", 10)


def test_two_processes_do_not_write_one_journal(tmp_path):
    output = tmp_path / "out.jsonl"
    command = [sys.executable, build_child.__file__, output, "sync", "9999", "0.01"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        child.stdout.readline()
        journal = tmp_path / "out.journal"
        while not journal.exists() or not journal.stat().st_size:
            time.sleep(0.01)
        with pytest.raises(TrainingError, match="another process is building"):
            build_child.run(output, "sync", 9999)
    finally:
        child.kill()
        child.communicate()


def test_damage_in_the_middle_is_told(tmp_path):
    output = tmp_path / "out.jsonl"
    begin(output, stop_at=9)
    journal = tmp_path / "out.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"\0\0\n", *lines[4:]]))
    with pytest.raises(TrainingError, match=r"out\.journal:4 is damaged"):
        build_child.run(output, "sync", COUNT)


def lost(chunk):
    return Outcome(None, failures=("the server does not answer",), answered=False, again=True)


def answered(chunk):
    return replace(build_child.outcome(chunk), answered=True)


def test_a_server_that_is_gone_stops_the_build_and_is_asked_again(tmp_path, whole_build):
    output = tmp_path / "k" / "out.jsonl.gz"
    output.parent.mkdir()

    async def until_50(chunk):
        number = int(chunk.text.split()[1])
        return lost(chunk) if number >= 50 else answered(chunk)

    with pytest.raises(TrainingError, match=r"last 10 chunks had no answer \(the server does not"):
        asyncio.run(build_async(build_child.chunks(COUNT), until_50, output, **GIVEN))
    with Journal(
        output.with_name("out.journal"),
        json.loads((output.with_name("out.journal")).read_text().splitlines()[0]),
    ) as journal:
        assert len(list(journal.entries())) == 50
    build_child.run(output, "async", COUNT)
    assert files(output) == whole_build


@pytest.mark.parametrize("tries", [1, 2])
def test_what_has_no_answer_is_asked_again_at_the_end(tmp_path, tries):
    asked = Counter()

    def work(chunk):
        asked[chunk.chunk_id] += 1
        gone = chunk.chunk_id in ("n0_0", "n3_0", "n3_2") and asked[chunk.chunk_id] <= tries
        return lost(chunk) if gone else answered(chunk)

    output = tmp_path / "out.jsonl"
    manifest = build(list(build_child.chunks(12)), work, output, **GIVEN)
    again = {"the server does not answer": 3} if tries == 2 else {}
    assert manifest["failures"] == {"nothing found": 3 - tries, **again}
    assert asked["n0_0"] == asked["n3_0"] == asked["n3_2"] == 2
    assert asked["n0_1"] == 3  # that the server is there
    assert asked.total() == 12 + 3 + 2
    if tries == 1:
        build_child.run(tmp_path / "whole.jsonl", "sync", 12)
        assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        assert manifest["counts"] == {"empty": 2, "mentions": 53}


def test_a_second_try_does_not_begin_at_a_server_that_is_gone(tmp_path, whole_build):
    output, chunks = tmp_path / "k" / "out.jsonl.gz", list(build_child.chunks(COUNT))
    output.parent.mkdir()

    def work(chunk):
        number = int(chunk.text.split()[1])
        calls.append(number)
        return lost(chunk) if number % 7 == 0 or len(calls) > COUNT else answered(chunk)

    for at_all in (COUNT + 1, 1):
        calls = [] if at_all > 1 else [0] * COUNT
        before = len(calls)
        with pytest.raises(TrainingError, match=r"last chunk had no answer .*does not answer"):
            build(chunks, work, output, **GIVEN)
        assert len(calls) - before == at_all
        assert not output.exists()
    build(chunks, answered, output, **GIVEN)
    assert files(output) == whole_build


def test_a_build_in_which_nothing_was_answered_is_none(tmp_path):
    with pytest.raises(TrainingError, match="last 3 chunks had no answer"):
        build(list(build_child.chunks(3)), lost, tmp_path / "none.jsonl", **GIVEN)

    def but_one(chunk):
        held_out = Outcome(None, {"held out: id": 1}, ("held out (id)",))
        return held_out if chunk.chunk_id == "n0_0" else lost(chunk)

    for _ in range(2):
        with pytest.raises(TrainingError, match="last 3 chunks had no answer"):
            build(list(build_child.chunks(4)), but_one, tmp_path / "some.jsonl", **GIVEN)
    assert not (tmp_path / "some.jsonl").exists()


def test_chunks_that_are_not_asked_about_say_nothing_of_the_server(tmp_path):
    """Held-out ones between those without an answer."""

    def work(chunk):
        number = int(chunk.text.split()[1])
        return lost(chunk) if number % 2 else Outcome(None, failures=("held out",))

    with pytest.raises(TrainingError, match=r"last 10 chunks had no answer .*does not answer"):
        build(list(build_child.chunks(60)), work, tmp_path / "out.jsonl", **GIVEN)
    lines = (tmp_path / "out.journal").read_text().splitlines()
    assert len(lines) == 2  # the header, and what came before the first


FULL = """
import resource, sys
sys.path.insert(0, {folder!r})
import build_child
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
build_child.run({output!r}, "sync", {count})
"""


@pytest.mark.parametrize("limit", [30, 5_000, 30_000])
def test_a_disk_that_fills_loses_nothing(tmp_path, limit):
    """A limit on the size of files stands for the disk: the same failing write."""
    output = tmp_path / "full" / "out.jsonl"
    output.parent.mkdir()
    code = FULL.format(
        folder=str(Path(__file__).parent), limit=limit, output=str(output), count=COUNT
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert "TrainingError" in done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert not output.exists()
    build_child.run(output, "sync", COUNT)
    (tmp_path / "whole").mkdir(exist_ok=True)
    build_child.run(tmp_path / "whole" / "out.jsonl", "sync", COUNT)
    assert files(output) == files(tmp_path / "whole" / "out.jsonl")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
