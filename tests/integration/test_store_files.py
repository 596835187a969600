"""A store's files: damaged ones are refused and left alone, others' folders are not touched."""

import json
import shutil
import stat

import pytest

from drehr_rag.errors import (
    BadArgument,
    EncoderMismatch,
    NoNotes,
    NoteRejected,
    StoreDamaged,
    StoreError,
    StoreMissing,
    StoreOutdated,
)
from drehr_rag.index import EhrIndex
from drehr_rag.stores import edge
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Note, Patient

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


def test_a_run_that_died_while_making_the_store(folder):
    """The manifest says `creating` until the shard is made; nothing was in it yet."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "creating": True}))
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        assert index.count(scope=EVERYBODY) == 0
        assert index.add(notes()).indexed == 30


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
        assert "same note_id" in rejects and SECRET not in rejects
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


def test_patients_are_grouped_in_the_order_of_their_best_hit(folder):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        groups = index.search_patients("warfarin", scope=EVERYBODY, k=2, per_patient=4)
        everything = index.search("warfarin", scope=EVERYBODY, k=99)
        assert len(groups) == 2
        assert groups[0].score == everything[0].score >= groups[1].score
        for group in groups:
            mine = [h for h in everything if h.chunk.patient_id == group.patient_id]
            assert list(group.hits) == mine[:4]


def test_until_a_date_means_its_whole_day(tmp_path):
    note = Note(note_id=1, patient_id=1, text="Fever.", written_at="2180-05-07T23:30:00")
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        index.add([note])
        assert index.count(scope=EVERYBODY, until="2180-05-07") == 1
        assert index.count(scope=EVERYBODY, until="2180-05-07T12:00") == 0
        assert index.count(scope=EVERYBODY, since="2180-05-08") == 0


def test_unknown_arguments_are_errors(folder):
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        for name in ("search", "search_patients", "ask", "count"):
            with pytest.raises(TypeError):
                getattr(index, name)("x", scope=EVERYBODY, patientid="p1")
