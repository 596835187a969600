"""A store's files: damaged ones are refused and left alone, others' folders are not touched."""

import gzip
import json
import shutil
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import date, datetime

import numpy as np
import pytest
from conftest import make_chunk, put, random_sparse, random_vectors

from drehr_rag.errors import (
    BadArgument,
    EncoderMismatch,
    NoNotes,
    NoteError,
    NoteRejected,
    StoreDamaged,
    StoreError,
    StoreMissing,
    StoreOutdated,
)
from drehr_rag.index import EhrIndex
from drehr_rag.notes.readers import read_notes
from drehr_rag.stores import edge
from drehr_rag.stores._payload import point_id
from drehr_rag.stores.memory import MemoryStore
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Note, Patient, Reject

EVERYBODY = AllPatients(reason="test")
SECRET = "zanzibar"


def notes(count=30):
    return [
        Note(note_id=i, patient_id=i % 3, text=f"PLAN:\nwarfarin {i}.\n\nLABS:\nINR {SECRET} {i}.")
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "x.idx"
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        index.add(notes())
    return place


def picture(folder):
    """Names, sizes and times of all files; the lock is rewritten by whoever looks."""
    return {
        str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file() and p.name != "lock"
    }


def halve(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def halve_all(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 100:
            halve(path)


DAMAGE = {
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "garbage manifest": lambda f: (f / "manifest.json").write_text("{nonsense"),
    "empty manifest": lambda f: (f / "manifest.json").write_text("{}"),
    "half a manifest": lambda f: halve(f / "manifest.json"),
    "no dimension": lambda f: (f / "manifest.json").write_text('{"schema": 1}'),
    "no layout in the manifest": lambda f: edit(f / "manifest.json", layout=None),
    "a broken layout in the manifest": lambda f: edit(f / "manifest.json", layout={"hnsw_m": 0}),
    "no shard": lambda f: shutil.rmtree(f / "shard"),
    "no segments": lambda f: shutil.rmtree(f / "shard" / "segments"),
    "empty shard": lambda f: (shutil.rmtree(f / "shard"), (f / "shard").mkdir()),
    "garbage config": lambda f: (f / "shard" / "edge_config.json").write_text("nonsense"),
    "half of every file": lambda f: halve_all(f / "shard"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_refused_and_left_alone(folder, damage):
    DAMAGE[damage](folder)
    before = picture(folder)
    for encoder in (None, HashEncoder()):
        with pytest.raises(StoreDamaged) as error:
            EhrIndex.open(folder, encoder=encoder)
        assert "index the notes again" in str(error.value)
        assert SECRET not in str(error.value)
    after = picture(folder)
    if "file" in damage or "segments" in damage or "shard" in damage:
        assert before.keys() <= after.keys()  # the engine may add files of its own
    else:
        assert after == before


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


DAMAGED_LOG = {
    "no log": lambda log: shutil.rmtree(log),
    "an entry": lambda log: flip(log / "open-1", 60),
}


@pytest.mark.parametrize("damage", DAMAGED_LOG)
def test_with_a_damaged_log_a_change_is_refused_that_the_engine_would_pass_over(folder, damage):
    """Its chunks are whole and can be searched; a deletion must not only seem to be one."""
    DAMAGED_LOG[damage](folder / "shard" / "wal")
    new = Note(note_id=1, patient_id=1, text="PLAN:\nother.")
    other = Note(note_id="new", patient_id="new", text="PLAN:\nother.")
    changes = (
        lambda index: index.delete_patient("1"),
        lambda index: index.delete_notes(["1"]),
        lambda index: index.add([new]),
        lambda index: index.add([other]),
    )
    for change in changes:
        with EhrIndex.open(folder, encoder=HashEncoder()) as index:
            for _ in range(9):  # the engine's count must not catch up
                with pytest.raises(StoreDamaged, match=r"log .* damaged.* snapshot") as error:
                    change(index)
            assert "index the notes again" in str(error.value) and SECRET not in str(error.value)
            assert index.count(scope=EVERYBODY) == 60 and index.count(scope=Patient("1")) == 20


@pytest.mark.parametrize(("schema", "remedy"), [(0, "index"), (99, "pip install --upgrade")])
def test_another_schema_version_is_refused_with_the_command_to_type(folder, schema, remedy):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema}))
    with pytest.raises(StoreOutdated, match=remedy):
        EhrIndex.open(folder)


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(StoreError, match="other files"):
        EhrIndex.open(tmp_path, encoder=HashEncoder())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_where_the_store_should_be(tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(StoreError, match="cannot use"):
        EhrIndex.open(tmp_path / "x", encoder=HashEncoder())


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(StoreMissing, match="drehr-rag index NOTES"):
        EhrIndex.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_run_that_died_while_making_the_store(tmp_path):
    """The manifest says `creating` until the shard is made; nothing was in it yet."""
    folder = tmp_path / "x.idx"
    EhrIndex.open(folder, encoder=HashEncoder()).close()
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "creating": True}))
    shutil.rmtree(folder / "shard" / "segments")
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        assert index.count(scope=EVERYBODY) == 0
        assert index.add(notes()).indexed == 30


def test_what_a_killed_build_of_the_graph_left_behind_goes(folder):
    """As a kill left it in a store of a million chunks: 2.2 GB that the engine never looks at."""
    left = folder / "shard" / edge.HALF_BUILT / "segment_builder_K47DsA"
    left.mkdir(parents=True)
    (left / "payload").write_text("a deleted note")
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        assert index.count(scope=AllPatients(reason="test")) == 2 * len(notes())
    assert not left.exists()


def test_only_the_owner_can_read_it(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "manifest.json").stat().st_mode) == 0o600


def test_another_encoder_is_refused_naming_both(folder):
    with pytest.raises(EncoderMismatch, match=r"hash \(.*hash-other \("):
        EhrIndex.open(folder, encoder=HashEncoder(salt="-other"))
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:  # the refusal let go of the lock
        assert index.count(scope=EVERYBODY) == 60


def test_another_chunker_is_refused(folder):
    with pytest.raises(BadArgument, match="made with chunker 'sections'"):
        EhrIndex.open(folder, encoder=HashEncoder(), chunker="words")


def test_closing_twice_and_using_it_afterwards(folder):
    index = EhrIndex.open(folder, encoder=HashEncoder())
    index.close()
    index.close()
    with pytest.raises(StoreError, match="closed"):
        index.search("warfarin", scope=Patient("1"))
    with pytest.raises(StoreError, match="closed"):
        index.count(scope=EVERYBODY)


def test_indexing_twice_changes_nothing(folder):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        before = index.search("warfarin", scope=EVERYBODY, k=99)
        report = index.add(notes())
        assert (report.read, report.unchanged, report.chunks) == (30, 30, 0)
        assert index.search("warfarin", scope=EVERYBODY, k=99) == before


def test_optimising_in_a_process_of_its_own_keeps_everything(folder, monkeypatch):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        before = index.search("warfarin 7", scope=EVERYBODY, k=99)
        monkeypatch.setattr(edge, "EXACT_BELOW", 10)
        index._store.optimise()
        assert index._store._shard.info().points_count == 60
        monkeypatch.undo()
        assert index.search("warfarin 7", scope=EVERYBODY, k=99) == before


def test_an_index_remembers_its_encoder(tmp_path):
    """The real, packaged model: named once, loaded by the store's own memory of it."""
    with EhrIndex.open(tmp_path / "x.idx", encoder="offline") as index:
        index.add(notes(3))
        first = index.search("warfarin", scope=Patient(1))
    with EhrIndex.open(tmp_path / "x.idx") as index:
        assert index.search("warfarin", scope=Patient("1")) == first
        assert index.encoder.name == "offline"


def test_the_same_id_twice_in_a_run(tmp_path):
    one = Note(note_id="n", patient_id="p", text=f"PLAN:\n{SECRET} one.")
    other = Note(note_id="n", patient_id="p", text=f"PLAN:\n{SECRET} two.")
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        report = index.add([one, one, other])
        assert (report.indexed, report.unchanged, report.rejected) == (1, 1, 1)
        rejects = (tmp_path / "x.idx" / "rejects.jsonl").read_text()
        assert "the same note_id as another" in rejects and SECRET not in rejects
        with pytest.raises(NoteRejected, match="note n: "):
            index.add([one, other], strict=True)
        assert index.count(scope=EVERYBODY) == 1


def test_no_note_at_all_is_an_error(tmp_path):
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        with pytest.raises(NoNotes):
            index.add([])
        (tmp_path / "empty.jsonl").write_text("\n\n")
        with pytest.raises(NoNotes, match=r"empty\.jsonl"):
            index.add(tmp_path / "empty.jsonl")
        (tmp_path / "bad.jsonl").write_text('{"note_id": 1, "text": "x"}\n{broken\n')
        with pytest.raises(NoNotes, match=r"none of 2 rows .* patient_id is missing .*rejects"):
            index.add(tmp_path / "bad.jsonl")


def test_no_record_shows_note_text(folder):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        hits = index.search("INR", scope=Patient("1"), section="labs")
        answer = index.ask(f"INR {SECRET} 1", scope=Patient("1"))
    assert hits and SECRET in hits[0].chunk.text and SECRET in answer.text
    shown = repr((notes(), hits, hits[0].chunk, answer, answer.citations, index))
    assert SECRET not in shown


@pytest.mark.parametrize("mode", ["dense", "lexical"])
def test_patients_are_grouped_in_the_order_of_their_best_hit(folder, mode):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        asked = {"scope": EVERYBODY, "mode": mode}
        groups = index.search_patients("warfarin", k=2, per_patient=4, **asked)
        everything = index.search("warfarin", k=99, **asked)
        assert len(groups) == 2
        assert groups[0].score == everything[0].score >= groups[1].score
        for group in groups:
            mine = [h for h in everything if h.chunk.patient_id == group.patient_id]
            assert [h.score for h in group.hits] == [h.score for h in mine[:4]]  # ids tie
            assert set(group.hits) <= set(mine)


@pytest.mark.parametrize("mode", ["hybrid", "rrf"])
def test_the_order_of_patients_does_not_depend_on_how_many_hits_are_asked_for(tmp_path, mode):
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        index.add(
            Note(note_id=i, patient_id=i % 60, text=f"warfarin {'INR ' * (i % 7)} {i % 11}.")
            for i in range(600)
        )
        asked = {"scope": EVERYBODY, "mode": mode}
        orders = [
            [(g.patient_id, g.score) for g in index.search_patients("INR 3", k=20, **asked, **n)]
            for n in ({"per_patient": 1}, {"per_patient": 3}, {"per_patient": 10})
        ]
        assert orders[0] == orders[1] == orders[2]
        assert len(orders[0]) == 20
        scores = [score for _, score in orders[0]]
        assert scores == sorted(scores, reverse=True)


def test_until_a_date_means_its_whole_day(tmp_path):
    note = Note(note_id=1, patient_id=1, text="Fever.", written_at="2180-05-07T23:30:00")
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        index.add([note])
        assert index.count(scope=EVERYBODY, until="2180-05-07") == 1
        assert index.count(scope=EVERYBODY, until=date(2180, 5, 7)) == 1
        assert index.count(scope=EVERYBODY, until=datetime(2180, 5, 7)) == 0
        assert index.count(scope=EVERYBODY, until="2180-05-07T12:00") == 0
        assert index.count(scope=EVERYBODY, since="2180-05-08") == 0


def test_unknown_arguments_are_errors(folder):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        for name in ("search", "search_patients", "ask", "count"):
            with pytest.raises(TypeError):
                getattr(index, name)("x", scope=EVERYBODY, patientid="p1")


# --- deleting leaves nothing behind


def bytes_with(folder, word):
    """Files of the store that hold the word."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if word.encode() in path.read_bytes()]


@pytest.mark.parametrize("what", ["note", "patient"])
def test_deleted_text_leaves_the_files(tmp_path, what):
    folder = tmp_path / "x.idx"
    secret = Note(note_id="s", patient_id="s", text=f"PLAN:\n{SECRET} stops.")
    others = [Note(note_id=i, patient_id="p", text=f"LABS:\nINR {i}.") for i in range(40)]
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        index.add([secret, *others])
        assert bytes_with(folder, SECRET)
        before = index.search("INR 7", scope=EVERYBODY, k=99)
        gone = index.delete_notes(["s"]) if what == "note" else index.delete_patient("s")
        assert gone == 1
        assert bytes_with(folder, SECRET) == []
        after = index.search("INR 7", scope=EVERYBODY, k=99)
        assert [h.chunk for h in after] == [h.chunk for h in before if h.chunk.patient_id == "p"]
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        assert index.count(scope=EVERYBODY) == 40
    assert bytes_with(folder, SECRET) == []
    assert not (folder / "shard.old").exists() and not (folder / "shard.new").exists()


DIES = """
import os, pathlib, shutil, sys
from drehr_rag.index import EhrIndex
from drehr_rag.notes.readers import read_notes
from drehr_rag.stores import edge
from drehr_rag.stores._payload import point_id
from drehr_rag.stores.memory import MemoryStore
from drehr_rag.testing import HashEncoder
steps = [0]
def dying(real):
    def step(*args, **kwargs):
        steps[0] += 1
        if steps[0] == int(sys.argv[2]):
            os._exit(9)
        return real(*args, **kwargs)
    return step
with EhrIndex.open(sys.argv[1], encoder=HashEncoder()) as index:
    pathlib.Path.rename = dying(pathlib.Path.rename)
    shutil.rmtree = dying(shutil.rmtree)
    edge.put = dying(edge.put)
    index.delete_patient("1")
"""


@pytest.mark.parametrize("step", range(1, 6))
def test_dying_while_deleted_text_is_cleared_away_loses_nothing(folder, step):
    code = [sys.executable, "-c", DIES, str(folder), str(step)]
    assert subprocess.run(code, check=False).returncode == 9
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        assert index.count(scope=Patient("1")) == 0
        assert index.count(scope=EVERYBODY) == 40
        index.delete_patient("1")  # the same command again finishes the work
        assert index.search("warfarin", scope=Patient("2"), k=99, mode="dense")
    assert bytes_with(folder, f"INR {SECRET} 1.") == []


# --- notes that come again


def test_a_note_id_of_another_patient_is_not_replaced(tmp_path):
    """Two exports that both number their notes from 1 must not delete each other."""
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        index.add([Note(note_id=1, patient_id="a", text=f"{SECRET} one.")])
        report = index.add(
            [
                Note(note_id=1, patient_id="b", text="two."),
                Note(note_id=2, patient_id="b", text="x"),
            ]
        )
        assert (report.indexed, report.replaced, report.rejected) == (1, 0, 1)
        assert index.count(scope=Patient("a")) == 1
        reason = rejected(tmp_path / "x.idx")[-1]["reason"]
        assert "for another patient" in reason and "drehr-rag delete --note 1" in reason
        index.delete_notes([1])
        assert index.add([Note(note_id=1, patient_id="b", text="two.")]).indexed == 1


def rejected(folder):
    return [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("again", ["", "  ", None])
def test_a_note_whose_text_is_taken_back_leaves_the_store(tmp_path, again):
    file = tmp_path / "n.jsonl"
    rows = [{"note_id": i, "patient_id": "p", "text": f"{SECRET} {i}."} for i in range(3)]
    folder = tmp_path / "x.idx"

    def write():
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        write()
        index.add(file)
        rows[1]["text"] = again
        write()
        report = index.add(file)
        assert (report.unchanged, report.rejected) == (2, 1)
        assert index.facets("note_id", scope=EVERYBODY) == {"0": 1, "2": 1}
        last = rejected(folder)[-1]
        assert (last["line"], last["note_id"]) == (2, "1")
        assert "older version was removed" in last["reason"]
        rows[1].update(text="", patient_id="q", note_id=2)  # of another patient: not believed
        write()
        assert index.add(file).rejected >= 1
        assert index.facets("note_id", scope=EVERYBODY) == {"0": 1, "2": 1}


@pytest.mark.parametrize("characters", [1, 10**6])
def test_a_note_taken_back_later_in_the_same_run_leaves_too(tmp_path, monkeypatch, characters):
    """Whether its chunks are written by then (a block a note) or still on their way."""
    monkeypatch.setattr("drehr_rag.indexing.CHARACTERS", characters)
    monkeypatch.setattr("drehr_rag.indexing.NOTES", 2 if characters == 1 else 64)
    note = Note(note_id=1, patient_id="p", text=f"{SECRET} one.")
    other = Note(note_id=2, patient_id="p", text="two.")
    back = Reject("f", 9, "entered in error", "1", "p", retracted=True)
    not_mine = Reject("f", 9, "entered in error", "2", "q", retracted=True)
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        report = index.add([note, other, back, not_mine])
        assert (report.read, report.indexed, report.rejected) == (4, 2, 2)
        assert index.facets("note_id", scope=EVERYBODY) == {"2": 1}
        index.add([other, back, note])  # first taken back, then given again
        assert index.facets("note_id", scope=EVERYBODY) == {"1": 1, "2": 1}
    reasons = [row["reason"] for row in rejected(tmp_path / "x.idx")]
    assert ["older version was removed" in reason for reason in reasons] == [True, False, False]
    assert "drehr-rag delete --note 2" in reasons[1]


def test_a_version_that_is_taken_back_and_given_again_in_one_batch(tmp_path):
    note = Note(note_id=1, patient_id="p", text=f"{SECRET} one.")
    back = Reject("f", 9, "entered in error", "1", "p", retracted=True)
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        index.add([note])
        report = index.add([back, note])
        assert (report.indexed, report.unchanged, report.rejected) == (1, 0, 1)
        assert index.count(scope=EVERYBODY) == 1


def test_what_stands_before_the_damage_is_kept(tmp_path):
    """A file cut off in the middle: its whole lines are indexed, then the error is told."""
    rows = [
        {"note_id": i, "patient_id": "p", "text": f"note {i}. {SECRET} " * 9} for i in range(99)
    ]
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    file = tmp_path / "n.jsonl.gz"
    file.write_bytes(whole[: len(whole) * 2 // 3])
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        with pytest.raises(NoteError, match=r"damaged after line \d+"):
            index.add(file)
        assert list(read_until_damage(file)) == [row["note_id"] for row in rows][: kept(index)]
        assert 0 < kept(index) < 99


def kept(index):
    return len(index.facets("note_id", scope=EVERYBODY))


def read_until_damage(file):
    try:
        for row in read_notes(file):
            yield int(row.note_id)
    except NoteError:
        return


def test_words_that_cleaning_takes_away_take_the_note_away(tmp_path):
    place = tmp_path / "x.idx"
    with EhrIndex.open(place, encoder=HashEncoder(), chunker="words") as index:
        index.add([Note(note_id=1, patient_id="p", text=f"{SECRET}.")])
        report = index.add(
            [
                Note(note_id=1, patient_id="p", text="[**1234**]"),
                Note(note_id=2, patient_id="p", text="x y"),
            ]
        )
        assert report.rejected == 1
        assert index.search(SECRET, scope=Patient("p"), mode="lexical") == []


def test_strict_keeps_what_came_before_the_bad_row(tmp_path):
    notes_ = [Note(note_id=i, patient_id="p", text=f"note {i}.") for i in range(5)]
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        with pytest.raises(NoteRejected, match="broken"):
            index.add([*notes_, Reject("f", 6, "broken")], strict=True)
        assert index.count(scope=EVERYBODY) == 5


class FailingStore(MemoryStore):
    """Refuses to write when told to."""

    fails = False

    def _write(self, points):
        if self.fails:
            raise StoreError("disk full")
        super()._write(points)


def test_the_old_version_stays_until_the_new_one_is_written():
    encoder = HashEncoder()
    manifest = {
        "dimension": 16,
        "encoder": {"name": "hash", "fingerprint": asdict(encoder.fingerprint)},
        "chunker": {"name": "sections", "options": {}},
    }
    store = FailingStore(manifest)
    index = EhrIndex(store, location="x", encoder=encoder)
    index.add([Note(note_id=1, patient_id="p", text="old.")])
    store.fails = True
    with pytest.raises(StoreError, match="disk full"):
        index.add([Note(note_id=1, patient_id="p", text="new.")])
    assert [h.chunk.text for h in index.search("old", scope=Patient("p"))] == ["old."]


def test_stale_chunks_of_a_half_written_version_go_too(folder):
    """A run died in the middle of version 2; version 3 is what stays."""
    long = Note(note_id=1, patient_id=1, text="PLAN:\none.\n\nLABS:\ntwo.\n\nDIET:\nthree.")
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        index.add([long])
        ids = [
            h.chunk.chunk_id for h in index.search("one", scope=Patient("1"), k=99, mode="dense")
        ]
        mine = [c for c in index.get(ids, scope=Patient("1")) if c.note_id == "1"]
        index._store._erase([point_id(mine[0].chunk_id)])
        index.add([Note(note_id=1, patient_id=1, text="PLAN:\nfour.")])
        texts = [c.text for c in index.get(all_ids(index), scope=Patient("1")) if c.note_id == "1"]
        assert texts == ["PLAN:\nfour."]


def all_ids(index):
    return [payload["chunk_id"] for payload in index._store._scroll(())]


# --- what an index remembers is checked


class Prompted(HashEncoder):
    """The same weights with a prompt."""

    def __init__(self):
        super().__init__()
        self.fingerprint = replace(self.fingerprint, query_prompt="query: ")


def test_the_same_weights_with_another_prompt_are_another_encoder(folder):
    with pytest.raises(EncoderMismatch, match="query_prompt"):
        EhrIndex.open(folder, encoder=Prompted())


def test_an_encoder_that_is_loaded_later_is_checked_too(folder, monkeypatch):
    with EhrIndex.open(folder) as index:
        monkeypatch.setattr("drehr_rag.index.load_encoder", lambda name: HashEncoder(salt="-b"))
        with pytest.raises(EncoderMismatch):
            index.search("warfarin", scope=EVERYBODY)


@pytest.mark.parametrize("part", ["encoder", "chunker", "dimension"])
def test_a_manifest_that_lacks_a_part_is_damage(folder, part):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    if part == "dimension":
        manifest["dimension"] = 8
    else:
        del manifest[part]
    path.write_text(json.dumps(manifest))
    for encoder in (None, HashEncoder()):
        with pytest.raises(StoreDamaged, match="manifest"):
            EhrIndex.open(folder, encoder=encoder)


def test_chunks_that_vanished_between_two_openings_are_noticed(folder):
    path = folder / "state.json"
    assert json.loads(path.read_text()) == {"closed": True, "chunks": 60}
    path.write_text(json.dumps({"closed": True, "chunks": 61}))
    with pytest.raises(StoreDamaged, match="61 chunks and now has 60"):
        EhrIndex.open(folder)


def test_a_failed_opening_lets_go_of_the_lock(folder):
    path = folder / "manifest.json"
    whole = path.read_text()
    path.write_text(json.dumps({**json.loads(whole), "schema": 99}))
    with pytest.raises(StoreOutdated) as error:
        EhrIndex.open(folder)
    path.write_text(whole)
    with EhrIndex.open(folder) as index:
        assert index.count(scope=EVERYBODY) == 60
    assert error.value  # the traceback is alive, so it is not the garbage collector that let go


@pytest.mark.parametrize("action", ["compact", "snapshot", "_optimise_apart"])
def test_a_store_that_could_not_be_opened_again_lets_go_of_the_lock(folder, monkeypatch, action):
    def damaged(self):
        raise StoreDamaged("as if")

    index = EhrIndex.open(folder, encoder=HashEncoder())
    monkeypatch.setattr(edge.EdgeStore, "_load", damaged)
    given = [folder.with_name("s")] if action == "snapshot" else []
    with pytest.raises(StoreDamaged, match="as if"):
        getattr(index._store, action)(*given)
    monkeypatch.undo()
    index.close()
    index.close()
    with EhrIndex.open(folder) as again:
        assert again.count(scope=EVERYBODY) == 60


@pytest.mark.parametrize(
    "files", [{"lock": "hi", "data.db": "x"}, {"manifest.json": '{"name": "ext"}', "lock": "my"}]
)
def test_another_programs_folder_is_not_touched(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    for encoder in (None, HashEncoder()):
        with pytest.raises((StoreError, StoreMissing)):
            EhrIndex.open(tmp_path, encoder=encoder)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == files


# --- values that cannot be meant


@pytest.mark.parametrize(
    "call",
    [
        lambda i: i.search("\ud83d", scope=EVERYBODY),
        lambda i: i.search("...", scope=EVERYBODY),
        lambda i: i.search("x", scope=EVERYBODY, mode=None),
        lambda i: i.search("x", scope=EVERYBODY, mode="fusion"),
        lambda i: i.search("x", scope=EVERYBODY, k=10**30),
        lambda i: i.search("x", scope=EVERYBODY, since=""),
        lambda i: i.search("x", scope=EVERYBODY, note_type=3),
        lambda i: i.search_batch(None, scope=EVERYBODY),
        lambda i: i.search_patients("x", scope=EVERYBODY, per_patient=0),
        lambda i: i.get([None], scope=EVERYBODY),
        lambda i: i.add([{"note_id": 1}]),
        lambda i: i.add(None),
        lambda i: i.add(notes(1)[0]),
        lambda i: i.add(notes(1), rejects="/nowhere/at/all/r.jsonl"),
        lambda i: i.delete_notes(None),
        lambda i: EhrIndex.open("", encoder=HashEncoder()),
        lambda i: EhrIndex.open(None, encoder=HashEncoder()),
        lambda i: EhrIndex.open(":memory:", encoder=HashEncoder(), chunker_options={"foo": 1}),
    ],
)
def test_a_mistake_is_a_bad_argument(folder, call):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        with pytest.raises(BadArgument) as error:
            call(index)
        assert len(str(error.value)) < 300


# --- more that a review by mutation found untested


FULL = {
    "note_id": "1",
    "patient_id": "p",
    "encounter_id": "e",
    "encounter_start": "2180-01-01",
    "encounter_end": "2180-01-02",
    "note_type": "Letter",
    "written_at": "2180-01-02",
    "text": "warfarin.",
    "metadata": {"ward": "A"},
}


@pytest.mark.parametrize(
    "edit",
    [
        {"encounter_id": "f"},
        {"encounter_start": "2180-01-01T10:00"},
        {"encounter_end": "2180-01-03"},
        {"note_type": "Addendum"},
        {"written_at": "2180-01-02T09:00"},
        {"text": "Warfarin."},
        {"metadata": {"ward": "B"}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_an_edit_of_any_field_is_an_edit(edit):
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        index.add([Note.model_validate(FULL)])
        assert index.add([Note.model_validate(FULL)]).unchanged == 1
        assert index.add([Note.model_validate({**FULL, **edit})]).replaced == 1
        assert index.count(scope=EVERYBODY) == 1


def test_times_with_a_zone_are_compared_as_moments():
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        index.add(
            [Note(note_id=1, patient_id=1, text="x.", written_at="2180-05-07T23:30:00-05:00")]
        )
        assert index.count(scope=EVERYBODY, since="2180-05-08T04:29:00+00:00") == 1
        assert index.count(scope=EVERYBODY, since="2180-05-08T04:31:00+00:00") == 0


def test_other_chunker_options_are_refused(tmp_path):
    place = tmp_path / "x.idx"
    made = {"encoder": HashEncoder(), "chunker": "words"}
    EhrIndex.open(place, **made, chunker_options={"cleaning": "cliniq"}).close()
    with pytest.raises(BadArgument, match="cliniq"):
        EhrIndex.open(place, **made, chunker_options={"cleaning": "dr_ehr"})
    EhrIndex.open(place, **made, chunker_options={"cleaning": "cliniq"}).close()


@pytest.mark.parametrize("mode", ["hybrid", "rrf", "dense", "lexical"])
def test_queries_of_a_batch_get_their_own_hits(folder, mode):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        queries = ["warfarin 7", "INR 12", "plan 3"]
        together = index.search_batch(queries, scope=EVERYBODY, k=60, mode=mode)
        for query, hits in zip(queries, together, strict=True):
            alone = index.search(query, scope=EVERYBODY, k=60, mode=mode)
            assert [h.score for h in hits] == pytest.approx([h.score for h in alone], abs=1e-6)
            assert {h.chunk for h in hits} == {h.chunk for h in alone}
        assert together[0][0].chunk != together[1][0].chunk


def test_only_the_owner_can_read_the_rejects(tmp_path):
    (tmp_path / "n.jsonl").write_text('{"note_id": 1, "patient_id": 1, "text": "x"}\n{\n')
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        index.add(tmp_path / "n.jsonl")
    assert stat.S_IMODE((tmp_path / "x.idx" / "rejects.jsonl").stat().st_mode) == 0o600


def test_a_store_with_chunks_is_never_made_anew(folder):
    """After a loss of power the mark of a store in the making may come back."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "creating": True}))
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        assert index.count(scope=EVERYBODY) == 60


def test_what_is_written_while_another_thread_compacts_is_kept(tmp_path, monkeypatch):
    store = edge.open_store(str(tmp_path / "a.idx"), manifest={"dimension": 8})
    rng = np.random.default_rng(0)
    put(store, [make_chunk(1)], random_vectors(rng, 1), random_sparse(rng, 1))
    copied, written, write = threading.Event(), threading.Event(), edge.put

    def slow(shard, points):
        write(shard, points)
        if threading.current_thread() is compacting:
            copied.set()
            written.wait(1)  # as long as it would take to write into the old files

    monkeypatch.setattr(edge, "put", slow)
    compacting = threading.Thread(target=store.compact)
    compacting.start()
    copied.wait(10)
    put(store, [make_chunk(2)], random_vectors(rng, 1), random_sparse(rng, 1))
    written.set()
    compacting.join()
    assert sorted(c.chunk_id for c in store.scan(scope=EVERYBODY)) == ["c1", "c2"]
    store.close()


def test_threads_that_search_first_load_one_model(tmp_path, monkeypatch):
    """A web server's first requests come together; each model takes seconds and memory."""
    with EhrIndex.open(tmp_path / "i", encoder=HashEncoder(dimension=16)) as index:
        index.add([Note(note_id="n", patient_id="p", text="Heart failure, stable.")])
    loads = []

    def slowly(name, **options):
        loads.append(name)
        time.sleep(0.2)
        return HashEncoder(dimension=16)

    monkeypatch.setattr("drehr_rag.index.load_encoder", slowly)
    with EhrIndex.open(tmp_path / "i") as index, ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(index.search, "CHF", scope=Patient("p")) for _ in range(8)]
        found = [[(hit.chunk.note_id, hit.score) for hit in one.result()] for one in asked]
    assert len(loads) == 1
    assert found == [found[0]] * 8 and found[0]
