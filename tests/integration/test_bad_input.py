"""What a user's disk, notes and servers can do wrong: a clear error, and a rerun that completes."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from drehr_rag import AllPatients, EhrIndex, Note, Patient
from drehr_rag.errors import EncoderError, EncoderMismatch, StoreError
from drehr_rag.stores import edge
from drehr_rag.testing import HashEncoder

EVERYBODY = AllPatients(reason="test")


def notes(count, words=300):
    return [
        Note(
            note_id=f"n{i}", patient_id=f"p{i % 3}", text=f"secret {i} " + f"word{i} text " * words
        )
        for i in range(count)
    ]


def contents(place):
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        points = [point for some in index._store._all() for point in some]
    return {point[0]: (point[3], tuple(np.round(point[1], 5))) for point in points}


@pytest.fixture
def disk(tmp_path):
    """A disk of 350 MB in memory, where a file's empty pages take room once they are read."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=350m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a disk that fills up needs leave to mount one")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up(disk, tmp_path):
    """The engine maps its files: without the check this process would end by SIGBUS."""
    place, many = disk / "x.idx", notes(800)
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        index.add(many[:1])
        spare = shutil.disk_usage(disk).free - edge.SPACE - 3 * 2**20
        with (disk / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, spare)
        with pytest.raises(StoreError, match=r"MB left and 256 MB are needed") as caught:
            index.add(many)
        held = index.count(scope=EVERYBODY)
        assert held > 1
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="MB left"):
        EhrIndex.open(disk / "y.idx", encoder=HashEncoder())
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        assert index.count(scope=EVERYBODY) == held  # reading goes on
    subprocess.run(["mount", "-o", "remount,size=900m", str(disk)], check=True)
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        report = index.add(many)
        assert report.indexed + report.unchanged == len(many) and report.unchanged > 1
    with EhrIndex.open(tmp_path / "z.idx", encoder=HashEncoder()) as index:
        index.add(many)
    assert contents(place) == contents(tmp_path / "z.idx")


def test_a_disk_without_room_for_a_second_shard(tmp_path, monkeypatch):
    """Deleting works, clearing the files has to wait, and says so."""
    place = tmp_path / "x.idx"
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        index.add(notes(6))
        monkeypatch.setattr(edge, "SPACE", 2**60)
        with pytest.raises(StoreError, match="make room"):
            index.delete_patient("p1")
        assert index.count(scope=Patient("p1")) == 0
        monkeypatch.undo()
        index.delete_patient("p1")
    assert not any(b"secret 1 " in path.read_bytes() for path in place.rglob("*") if path.is_file())


def test_a_disk_that_is_read_only(disk):
    place = disk / "x.idx"
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        index.add(notes(2))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for action in (
        lambda: EhrIndex.open(place, encoder=HashEncoder()),
        lambda: EhrIndex.open(disk / "y.idx", encoder=HashEncoder()),
    ):
        with pytest.raises(StoreError, match="Read-only file system") as caught:
            action()
        assert "y.idx" in str(caught.value) or "copy the folder" in str(caught.value)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    with EhrIndex.open(place, encoder=HashEncoder()) as index:
        assert index.add(notes(2)).unchanged == 2


@pytest.mark.parametrize(
    ("chunker", "text"),
    [
        ("sections", "x" * 500_000 + "é" * 500_000),
        ("words", "x" * 500_000 + "é" * 500_000),
        ("words", "ab," * 333_333),
        # A tenth: 2,084 chunks, each as long as the encoder takes.
        pytest.param("sections", "ab," * 33_333, marks=pytest.mark.slow),
    ],
    ids=["sections é", "words é", "words ,", "sections ,"],
)
def test_a_megabyte_without_a_space(chunker, text, tmp_path):
    """BERT reads a word of over 100 letters as one unknown token: nothing of it is cut."""
    with EhrIndex.open(tmp_path / "x.idx", encoder="offline", chunker=chunker) as index:
        report = index.add([Note(note_id="1", patient_id="p", text=text), *notes(1)])
        assert report.indexed == 2
        chunks = index.search("xxxx", scope=Patient("p"), k=30_000, mode="dense")
        covered = np.zeros(len(text), dtype=bool)
        for hit in chunks:
            covered[hit.chunk.start : hit.chunk.end] = True
        assert covered.all()
        assert report.truncated == (chunker == "words" and "," in text)


class Broken(HashEncoder):
    """Gives numbers that are none from the second window on, as broken weights do."""

    calls = 0

    def encode_passages(self, texts):
        vectors = super().encode_passages(texts)
        type(self).calls += 1
        if type(self).calls > 2:
            vectors[-1, 0] = np.nan
        return vectors


def test_vectors_that_are_not_numbers_never_arrive(tmp_path):
    many = notes(400, words=1500)
    with EhrIndex.open(tmp_path / "x.idx", encoder=Broken()) as index:
        with pytest.raises((StoreError, EncoderError), match="not finite") as caught:
            index.add(many)
        assert "secret" not in str(caught.value)
        assert index.count(scope=EVERYBODY) > 0
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()) as index:
        report = index.add(many)
        assert report.indexed + report.unchanged == 400 and report.unchanged > 0


def test_a_store_of_another_dimension(tmp_path):
    with EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder(dimension=16)) as index:
        index.add(notes(1))
    with pytest.raises(EncoderMismatch, match="dimension"):
        EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder(dimension=32))


@pytest.mark.usefixtures("one_encoder")
def test_the_command_line_tells_of_a_full_disk_in_one_line(disk, run):
    filler = disk / "filler"
    filler.write_bytes(os.urandom(100 * 2**20))
    (disk / "n.jsonl").write_text('{"note_id": 1, "patient_id": 2, "text": "words"}')
    place = ("--store", disk / "x.idx", "--encoder", "offline")
    code, _, err = run("index", disk / "n.jsonl", *place)
    assert code == 1 and "make room" in err and "Traceback" not in err
