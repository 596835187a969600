"""Indexing on Ray leaves what one process leaves: real Ray, two workers, real kills."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import hash_plugin
import numpy as np
import psutil
import pytest
import qdrant_edge as q
from conftest import ROOT, content
from qdrant_loopback import Loopback

from drehr_rag import EhrIndex, Fields, ward
from drehr_rag.engines import load_engine
from drehr_rag.errors import BadArgument, EncoderError, EncoderMismatch, EngineError, NoteError
from drehr_rag.stores.server import ServerStore
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Note

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="no Ray, which takes 500 MB: type make test-ray"
    ),
]
WORKERS = 2


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The encoder `hash-plugin`, for this process and those that it starts."""
    folder = tmp_path_factory.mktemp("plugin")
    hash_plugin.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
        patch.syspath_prepend(folder)
        yield


@pytest.fixture(scope="module")
def ray_engine(plugin):
    with closing(load_engine("ray", workers=WORKERS)) as engine:
        yield engine


@pytest.fixture
def small_blocks(monkeypatch):
    """So that a few hundred notes are many blocks."""
    monkeypatch.setattr("drehr_rag.indexing.NOTES", 8)
    monkeypatch.setattr("drehr_rag.indexing.CHARACTERS", 20_000)


def write(path, rows):
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def ward_rows():
    return [note.model_dump(mode="json") for note in ward.notes()]


def mtsamples(shared_data, count):
    with gzip.open(shared_data / "notes" / "mtsamples_shared.jsonl.gz") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(count), strict=False)]
    return [
        {"note_id": row["note_id"], "patient_id": row["cluster"], "text": row["text"]}
        for row in rows
    ]


def troubled(rows):
    """Broken rows, notes given twice, edited, taken back, of another patient, without words."""
    first, second, third, fourth = rows[:4]
    return [
        {**first, "text": first["text"] + " Edited."},
        "{broken\n",
        {**second, "patient_id": "somebody else"},
        {**third, "text": ""},
        {"patient_id": "p", "text": "no id"},
        {"note_id": "new", "patient_id": "p", "text": "PLAN:\nAspirin."},
        {"note_id": "new", "patient_id": "p", "text": "PLAN:\nAspirin."},
        {"note_id": "new", "patient_id": "p", "text": "PLAN:\nAnother."},
        {**fourth, "text": "[**1234**]"},
        *rows[4:],
        {"note_id": "later", "patient_id": "p", "text": "PLAN:\nTaken back."},
        {"note_id": "later", "patient_id": "p", "text": ""},
    ]


def index_all(folder, engine, sources, **options):
    """Reports and rejects, without what differs from run to run."""
    reports = []
    with EhrIndex.open(folder, **options) as index:
        for _, notes in engine.read(sources):
            report = asdict(index.add(notes, engine=engine))
            for varies in ("seconds", "encoding_seconds", "rejects_file"):
                report.pop(varies)
            reports.append(report)
    rejects = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    key = ("file", "line", "note_id", "reason")
    return reports, sorted(str([row[name] for name in key]) for row in rejects)


def test_the_same_content_reports_and_rejects(
    ray_engine, small_blocks, shared_data, tmp_path_factory, monkeypatch
):
    tmp_path = tmp_path_factory.mktemp("driver")  # Ray's processes stand in it until the last test
    monkeypatch.chdir(tmp_path)
    rows = mtsamples(shared_data, 300)
    write(Path("ward.jsonl"), ward_rows())
    write(Path("mtsamples.jsonl.gz"), rows)
    write(Path("troubled.jsonl"), troubled(rows[:100]))
    sources = [Path(name) for name in ("ward.jsonl", "mtsamples.jsonl.gz", "troubled.jsonl")]
    how = {"encoder": "hash-plugin", "chunker": "words"}
    expected = index_all(tmp_path / "one.idx", load_engine("local"), sources, **how)
    found = index_all(tmp_path / "many.idx", ray_engine, sources, **how)
    assert found == expected
    assert content(tmp_path / "many.idx") == content(tmp_path / "one.idx")
    reports, rejects = found
    assert [report["read"] for report in reports] == [len(ward.notes()), 300, 107]
    last = reports[2]
    assert (last["indexed"], last["replaced"], last["rejected"]) == (2, 1, 7)
    assert "'troubled.jsonl', 2, None, 'broken JSON'" in " ".join(rejects)
    assert sum("older version was removed" in reject for reject in rejects) == 3


def vectors_of(folder):
    with EhrIndex.open(folder) as index:
        points, _ = index._store._shard.scroll(
            q.ScrollRequest(limit=10**6, with_payload=True, with_vector=True)
        )
    return {str(point.id): (point.payload, point.vector["dense"]) for point in points}


def test_the_same_vectors_of_a_real_model(ray_engine, tmp_path):
    source = write(tmp_path / "ward.jsonl", ward_rows()[:20])
    for name, engine in (("one", load_engine("local")), ("many", ray_engine)):
        with EhrIndex.open(tmp_path / name, encoder="offline") as index:
            index.add(source, engine=engine)
    one, many = vectors_of(tmp_path / "one"), vectors_of(tmp_path / "many")
    assert one.keys() == many.keys() and len(one) > 100
    assert all(one[key][0] == many[key][0] for key in one)
    cosines = [float(np.dot(one[key][1], many[key][1])) for key in one]
    assert min(cosines) > 0.9999


def test_notes_from_memory_and_a_second_run(ray_engine, plugin, tmp_path):
    notes = ward.notes()[:9]
    with EhrIndex.open(tmp_path / "x.idx", encoder="hash-plugin") as index:
        assert index.add(notes, engine=ray_engine).indexed == 9
        report = index.add(notes, engine=ray_engine)
        assert (report.unchanged, report.chunks) == (9, 0)


def test_a_damaged_file_gives_what_stands_before_the_damage(ray_engine, tmp_path):
    whole = gzip.compress(json.dumps(ward_rows()[0]).encode() + b"\n" + os.urandom(50_000))
    good, bad = write(tmp_path / "a.jsonl", ward_rows()[1:5]), tmp_path / "b.jsonl.gz"
    bad.write_bytes(whole[:-20_000])
    with EhrIndex.open(tmp_path / "x.idx", encoder="hash-plugin") as index:
        reading = ray_engine.read([good, bad])
        index.add(next(reading)[1], engine=ray_engine)
        with pytest.raises(NoteError, match=r"b\.jsonl\.gz is damaged after line"):
            index.add(next(reading)[1], engine=ray_engine)
        assert index.info()["notes"] == 5


def test_sources_come_in_their_order_though_the_first_is_slow(ray_engine, tmp_path):
    slow, quick = tmp_path / "slow.jsonl", write(tmp_path / "quick.jsonl", ward_rows()[5:9])
    os.mkfifo(slow)

    def fill():
        time.sleep(3)
        write(slow, ward_rows()[:5])

    filling = threading.Thread(target=fill, daemon=True)
    filling.start()
    found = [
        (source, [note.note_id for note in notes])
        for source, notes in ray_engine.read([slow, quick], format="jsonl")
    ]
    filling.join()
    ids = [note.note_id for note in ward.notes()[:9]]
    assert found == [(slow, ids[:5]), (quick, ids[5:])]


def test_an_encoder_that_no_worker_can_load_is_refused(ray_engine, tmp_path):
    class Salted(HashEncoder):
        """Made in this process, under the name of another."""

        def __init__(self):
            super().__init__(salt="other")
            self.name = "hash-plugin"

    for encoder, error, message in (
        (HashEncoder(), BadArgument, "by its name, and none is called 'hash'"),
        (Salted(), EncoderMismatch, "a worker loaded 'hash-plugin' as hash "),
    ):
        folder = tmp_path / type(encoder).__name__
        with EhrIndex.open(folder, encoder=encoder) as index:
            with pytest.raises(error, match=message):
                index.add(ward.notes()[:3], engine=ray_engine)
            assert index.add(ward.notes()[:3]).indexed == 3  # this process can


def test_what_other_processes_log_is_said_here(ray_engine, tmp_path, caplog):
    source = write(tmp_path / "n.jsonl", ward_rows()[:5])
    with EhrIndex.open(tmp_path / "x.idx", encoder="hash-plugin") as index:
        fields = Fields({"encounter_id": "stay"})
        report = index.add(source, fields=fields, engine=ray_engine)
        assert report.indexed == 5
        report = index.add([Note(note_id=1, patient_id=1, text="TRUNC")], engine=ray_engine)
    said = [(record.name, record.getMessage()) for record in caplog.records]
    assert ("drehr_rag.notes.readers.jsonl", f"no line of {source} has stay") in said
    assert ("drehr_rag.hash_plugin", "1 text cut") in said
    assert report.truncated == 1


def test_errors_of_a_worker_come_through_and_what_is_written_is_kept(
    ray_engine, small_blocks, tmp_path
):
    good = ward.notes()
    poison = Note(note_id="x", patient_id="p", text="A qqpoison.")
    deadly = Note(note_id="y", patient_id="p", text="A qqdeadly one.")
    with EhrIndex.open(tmp_path / "x.idx", encoder="hash-plugin") as index:
        with pytest.raises(EncoderError, match=r"^weights are broken$"):
            index.add([*good, poison], engine=ray_engine)
        assert index.info()["notes"] > 20
        with pytest.raises(EngineError, match="died 4 times over one block"):
            index.add([deadly], engine=ray_engine)
        assert index.add(good, engine=ray_engine).read == len(good)  # its workers are back
        assert index.info()["notes"] == len(good)


def test_workers_that_cannot_be_had_are_told_of(ray_engine, tmp_path, monkeypatch):
    class Heard(Exception):
        pass

    def heard(message, *arguments):
        raise Heard(message % arguments)

    monkeypatch.setattr("drehr_rag.engines.ray.PATIENCE", 0.5)
    monkeypatch.setattr("drehr_rag.engines.ray.logger.warning", heard)
    with EhrIndex.open(tmp_path / "x.idx", encoder="hash-plugin") as index:
        index.add(ward.notes()[:3], engine=ray_engine)  # Ray is up, and not this engine's
        with (
            closing(load_engine("ray", workers=1, gpus_per_worker=64)) as greedy,
            pytest.raises(Heard, match="asks for 1 processors and 64 GPUs, and the cluster has"),
        ):
            index.add(ward.notes()[3:6], engine=greedy)
        assert index.add(ward.notes()[3:6], engine=ray_engine).indexed == 3  # and goes on


def test_workers_write_to_a_server_themselves(ray_engine, small_blocks, tmp_path, monkeypatch):
    expected = tmp_path / "one.idx"
    edited = [note.model_copy(update={"text": note.text + " Edited."}) for note in ward.notes()]
    with EhrIndex.open(expected, encoder="hash-plugin") as index:
        index.add(ward.notes()[:30])
        index.add(edited[:20])
    monkeypatch.setenv("QDRANT_API_KEY", "of this process alone")
    with Loopback(api_key="of this process alone") as server:
        place = f"{server.url}/notes"
        with EhrIndex.open(place, encoder="hash-plugin") as index:
            monkeypatch.setattr(ServerStore, "upsert", None)  # of this process
            assert index.add(ward.notes()[:30], engine=ray_engine).indexed == 30
            assert index.add(edited[:20], engine=ray_engine).replaced == 20
            assert index.add(edited[:20], engine=ray_engine).unchanged == 20
            points, _ = index._store._client.scroll(
                "notes", limit=10**6, with_payload=True, with_vectors=True
            )
        assert server.made("upsert_points")
    found = {str(point.id): (point.payload, point.vector["dense"]) for point in points}
    wanted = vectors_of_hash(expected)
    assert found.keys() == wanted.keys()
    for key, (payload, dense) in found.items():
        assert payload == wanted[key][0]
        np.testing.assert_allclose(dense, wanted[key][1], atol=1e-5)


def vectors_of_hash(folder):
    return {key: (row[0], row[1]) for key, row in content(folder).items()}


def test_ray_listens_to_this_machine_alone_and_keeps_its_files_to_itself(ray_engine, tmp_path):
    with EhrIndex.open(tmp_path / "x.idx", encoder="hash-plugin") as index:
        index.add(ward.notes()[:3], engine=ray_engine)
    rays = descendants(os.getpid())
    places = {c.laddr.ip for p in rays for c in p.net_connections() if c.status == "LISTEN"}
    assert places and places <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    folders = list(Path("/tmp").glob(f"drehr-ray-{os.getpid()}-*"))
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700]  # Ray opens its own
    environments = [p.environ() for p in rays if p.name() in ("gcs_server", "raylet")]
    assert len(environments) == 2
    assert {e["RAY_USAGE_STATS_ENABLED"] for e in environments} == {"0"}
    assert {e["RAY_AUTH_MODE"] for e in environments} == {"token"}


# --- kills, from the command line


LINGER = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Agents of Ray, which hold no note: for 60 s they try to tell a dead server of the death."""


def name_of(process):
    """None once it has ended."""
    with suppress(psutil.NoSuchProcess):
        return process.name() if process.status() != psutil.STATUS_ZOMBIE else None


def descendants(pid):
    return psutil.Process(pid).children(recursive=True)


def command(*arguments):
    return [sys.executable, "-m", "drehr_rag.cli", "index", *map(str, arguments), "--json"]


RAY = ("--engine", "ray", "--workers", WORKERS, "--encoder", "hash-plugin")


@pytest.fixture
def run(plugin, shared_data, tmp_path):
    """Source, store, log of the blocks, and a function that starts a run over many blocks."""
    rows = mtsamples(shared_data, 700)
    source = write(tmp_path / "n.jsonl", rows)
    log, folder = tmp_path / "blocks", tmp_path / "killed.idx"
    environment = {**os.environ, "HASH_LOG": str(log), "HASH_SECONDS": "0.7"}
    started, rays = [], []

    def start():
        child = subprocess.Popen(
            command(source, "--store", folder, *RAY),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        started.append(child)
        wait_for(lambda: child.poll() is not None or blocks(log) >= 1 + 2 + WORKERS)
        rays.extend(descendants(child.pid))
        return child

    yield source, folder, log, start
    for process in [*started, *rays]:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            process.kill()
    for child in started:
        for left in Path("/tmp").glob(f"drehr-ray-{child.pid}-*"):
            shutil.rmtree(left)  # the next run would


def blocks(log):
    """Begun; the first is of the driver, which encodes eight probes when it makes the store."""
    return len(log.read_text().split()) if log.exists() else 0


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def undisturbed(source, tmp_path):
    folder = tmp_path / "undisturbed.idx"
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        report = index.add(source)
    return report, content(folder)


def test_a_killed_worker_is_replaced(run, tmp_path):
    source, folder, log, start = run
    child = start()
    victim = int(log.read_text().split()[-1])
    assert victim in {process.pid for process in descendants(child.pid)}
    os.kill(victim, signal.SIGKILL)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err
    encoders = {int(line) for line in log.read_text().split()} - {child.pid}  # it made the store
    assert len(encoders) == WORKERS + 1  # a new one took the victim's place
    report, expected = undisturbed(source, tmp_path)
    told = json.loads(out)[str(source)]
    for number in ("read", "indexed", "unchanged", "replaced", "rejected", "chunks", "truncated"):
        assert told[number] == getattr(report, number)
    assert content(folder) == expected


def test_a_killed_driver_leaves_no_process_and_goes_on_where_it_was(run, ray_engine, tmp_path):
    source, folder, _, start = run
    child = start()
    rays = descendants(child.pid)
    assert {"raylet", "gcs_server"} <= {process.name() for process in rays}
    child.send_signal(signal.SIGKILL)
    child.communicate()
    wait_for(lambda: all(name in LINGER for name in map(name_of, rays) if name), 30)
    with EhrIndex.open(folder, encoder="hash-plugin") as index:
        written = index.info()["notes"]
        report = index.add(source, engine=ray_engine)
    assert 0 < written < 700
    assert written - report.unchanged in (0, 1), "more than the note at hand was half written"
    assert report.unchanged + report.indexed + report.replaced == 700
    assert content(folder) == undisturbed(source, tmp_path)[1]


def test_a_gpu_that_is_not_there_is_an_error(plugin, tmp_path):
    source = write(tmp_path / "n.jsonl", ward_rows()[:3])
    arguments = command(source, "--store", tmp_path / "x", *RAY, "--gpus-per-worker", 64)
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "the workers ask for 128 GPUs and this machine has" in done.stderr
    assert "Traceback" not in done.stderr
