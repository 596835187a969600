"""Copies and snapshots: every chunk arrives, and a copy that differs is never called one."""

import os
import tarfile
from threading import Barrier, Thread

import numpy as np
import pytest
from conftest import make_chunk, put, random_sparse, random_vectors

from drehr_rag import AllPatients, Layout, Patient
from drehr_rag.cli._options import layout_of
from drehr_rag.errors import BadArgument, StoreDamaged, StoreError, StoreMissing
from drehr_rag.stores import _snapshot_file, open_store, plugin
from drehr_rag.stores._copy import copy_store
from drehr_rag.stores._snapshot_file import seal
from drehr_rag.stores.edge import EdgeStore, restore

EVERYBODY = AllPatients(reason="test")
MANIFEST = {"dimension": 8, "encoder": {"name": "e"}, "chunker": {"name": "c"}}


@pytest.fixture
def source(tmp_path):
    place = str(tmp_path / "source")
    with open_store(place, manifest=MANIFEST) as store:
        rng = np.random.default_rng(0)
        chunks = [
            make_chunk(i, patient=f"p{i % 5}", text=f"words {i} with ümlaut") for i in range(2345)
        ]
        put(store, chunks, random_vectors(rng, 2345), random_sparse(rng, 2345))
    return place


def everything(place):
    with open_store(place) as store:
        return {point[0]: point for points in store._all() for point in points}


def test_a_copy_holds_the_same(source, tmp_path):
    target = str(tmp_path / "copy")
    seen = []
    report = copy_store(source, target, progress=lambda *step: seen.append(step))
    assert report.chunks == 2345 and report.difference == 0
    assert everything(source) == everything(target)
    assert seen[-1] == ("checking", 2345, 2345) and ("copying", 2345, 2345) in seen
    with open_store(source) as old, open_store(target) as new:
        assert old.manifest == new.manifest
    again = copy_store(source, target)
    assert again.checksum == report.checksum and len(report.checksum) == 64


def test_a_copy_may_be_laid_out_otherwise(source, tmp_path):
    target = str(tmp_path / "copy")
    report = copy_store(source, target, layout=Layout(precision="float16"))
    assert 0 < report.difference < 1e-3
    with open_store(target) as store:
        assert store.layout.precision == "float16"
        assert store.count(scope=Patient("p3")) == 469


def test_a_copy_is_laid_out_otherwise_only_where_that_is_said(source, tmp_path):
    small, other, plain = (str(tmp_path / name) for name in ("small", "other", "plain"))
    copy_store(source, small, layout=Layout(quantisation="int8", on_disk=True, hnsw_m=8))
    copy_store(small, other, layout=Layout(precision="float16"))
    copy_store(small, other, layout=Layout(precision="float16"))  # again: it is as wanted
    with open_store(other) as store:
        wanted = Layout(quantisation="int8", on_disk=True, hnsw_m=8, precision="float16")
        assert store.layout == wanted
    with pytest.raises(BadArgument, match="was made with"):
        copy_store(small, other, layout=Layout(precision="float32"))
    copy_store(small, plain, layout=layout_of(["quantisation=none"]))
    with open_store(plain) as store:
        assert store.layout == wanted.but(quantisation=None, precision="float32")


def test_a_store_is_not_copied_into_itself(source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadArgument, match="name another"):
        copy_store(source, "source")


def test_an_interrupted_copy_is_completed(source, tmp_path, monkeypatch):
    target, real, batches = str(tmp_path / "copy"), EdgeStore._write, []

    def failing(self, points):
        batches.append(len(points))
        if len(batches) == 2:
            raise StoreError("disk full")
        real(self, points)

    monkeypatch.setattr(EdgeStore, "_write", failing)
    with pytest.raises(StoreError, match="disk full"):
        copy_store(source, target)
    monkeypatch.undo()
    with open_store(target) as store:
        assert 0 < store.count(scope=EVERYBODY) < 2345
    assert copy_store(source, target).chunks == 2345
    assert everything(source) == everything(target)


def spoil_text(point):
    return (*point[:3], {**point[3], "text": "other"})


def spoil_vector(point):
    return (point[0], [-x for x in point[1]], *point[2:])


def spoil_terms(point):
    return (*point[:2], type(point[2])(point[2].indices, (9.0,) * len(point[2].values)), point[3])


@pytest.mark.parametrize("spoil", [spoil_text, spoil_vector, spoil_terms])
def test_a_chunk_that_was_changed_on_the_way_is_found(source, tmp_path, monkeypatch, spoil):
    real = EdgeStore._write

    def spoiling(self, points):
        real(self, [spoil(points[0]), *points[1:]])

    monkeypatch.setattr(EdgeStore, "_write", spoiling)
    with pytest.raises(StoreError, match=r"differ|elsewhere") as caught:
        copy_store(source, str(tmp_path / "copy"))
    assert "words" not in str(caught.value)


def test_a_chunk_that_was_lost_on_the_way_is_found(source, tmp_path, monkeypatch):
    real = EdgeStore._write
    monkeypatch.setattr(EdgeStore, "_write", lambda self, points: real(self, points[1:]))
    with pytest.raises(StoreError, match="did not arrive"):
        copy_store(source, str(tmp_path / "copy"))


def test_targets_that_hold_something_else_are_refused(source, tmp_path):
    other = str(tmp_path / "other")
    open_store(other, manifest={**MANIFEST, "encoder": {"name": "f"}}).close()
    with pytest.raises(BadArgument, match="another encoder"):
        copy_store(source, other)
    full = str(tmp_path / "full")
    with open_store(full, manifest=MANIFEST) as store:
        rng = np.random.default_rng(1)
        put(store, [make_chunk(9999)], random_vectors(rng, 1), random_sparse(rng, 1))
    with pytest.raises(StoreError, match=r"full holds 1 chunks that .*source lacks"):
        copy_store(source, full)
    assert len(everything(full)) == 1
    with pytest.raises(BadArgument, match="memory"):
        copy_store(source, ":memory:")
    with pytest.raises(StoreMissing):
        copy_store(str(tmp_path / "nothing"), str(tmp_path / "y"))
    assert not (tmp_path / "y").exists()


def test_what_another_writes_meanwhile_is_found(source, tmp_path, monkeypatch):
    real = EdgeStore.optimise

    def meddling(self):
        real(self)
        rng = np.random.default_rng(1)
        put(self, [make_chunk(9999)], random_vectors(rng, 1), random_sparse(rng, 1))

    monkeypatch.setattr(EdgeStore, "optimise", meddling)
    with pytest.raises(StoreError, match=r"holds 2346 chunks .* 2345"):
        copy_store(source, str(tmp_path / "copy"))


def test_a_snapshot_brings_everything_back(source, tmp_path):
    file, back = tmp_path / "x.snapshot", str(tmp_path / "back")
    with open_store(source) as store:
        store.snapshot(file)
        assert store.count(scope=EVERYBODY) == 2345  # and the store goes on
    assert file.stat().st_mode & 0o077 == 0
    restore(file, back)
    assert everything(source) == everything(back)
    with open_store(source) as store, pytest.raises(StoreError, match="exists"):
        store.snapshot(file)
    with pytest.raises(StoreError, match="exists"):
        restore(file, back)


def test_snapshots_that_are_none_are_refused(source, tmp_path):
    file = tmp_path / "x.snapshot"
    with open_store(source) as store:
        store.snapshot(file)
    half = tmp_path / "half"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    text = tmp_path / "text"
    text.write_text("no archive")
    with tarfile.open(tmp_path / "tar", "w") as archive:
        archive.add(text, arcname="text")
    for wrong in (half, text, tmp_path / "tar"):
        with pytest.raises(StoreError, match="snapshot"):
            restore(wrong, str(tmp_path / "back"))
        assert not (tmp_path / "back").exists()
        assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("where", ["text", "name", "sum", "no sum"])
def test_a_snapshot_that_has_changed_is_damaged(source, tmp_path, where):
    file = tmp_path / "x.snapshot"
    with open_store(source) as store:
        store.snapshot(file)
    with tarfile.open(file) as archive:
        last = archive.getmembers()[-1].offset
    content = bytearray(file.read_bytes())
    words = {"text": b"words 777 ", "name": b"shard/edge_config.json"}.get(where)
    place = content.index(words) + 8 if words else last + 512
    if where == "no sum":
        del content[last:]
        content += bytes(10240)
    else:
        content[place] ^= 1
    file.write_bytes(content)
    wanted = StoreError if where in ("name", "no sum") else StoreDamaged
    with pytest.raises(wanted, match=r"x\.snapshot") as caught:
        restore(file, str(tmp_path / "back"))
    assert "ümlaut" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "x.snapshot"]


def test_what_lies_beside_a_snapshot_is_left_alone(source, tmp_path):
    for name in ("x.snapshot.part", "back.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis").write_text("mine")
    with open_store(source) as store:
        store.snapshot(tmp_path / "x.snapshot")
    restore(tmp_path / "x.snapshot", str(tmp_path / "back"))
    assert [path.read_text() for path in tmp_path.glob("*.part/thesis")] == ["mine", "mine"]
    assert (tmp_path / "x.snapshot").stat().st_mode & 0o077 == 0
    assert (tmp_path / "back").stat().st_mode & 0o077 == 0


def test_two_restores_at_a_time_make_one_store(source, tmp_path):
    file, back = tmp_path / "x.snapshot", str(tmp_path / "back")
    with open_store(source) as store:
        store.snapshot(file)
    start, failed = Barrier(2), []

    def one():
        start.wait()
        try:
            restore(file, back)
        except StoreError as problem:
            failed.append(str(problem))

    threads = [Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) <= 1
    assert everything(source) == everything(back)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "source", "x.snapshot"]


def test_a_snapshot_into_a_folder_that_cannot_be_written(source, tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(_snapshot_file, "mkstemp", read_only)
    monkeypatch.setattr(_snapshot_file, "mkdtemp", read_only)
    with open_store(source) as store, pytest.raises(StoreError, match=r"x\.snapshot: Read-only"):
        store.snapshot(tmp_path / "x.snapshot")
    (tmp_path / "y").write_text("x")
    with pytest.raises(StoreError, match="y: Read-only"):
        restore(tmp_path / "y", str(tmp_path / "back"))


def test_places_that_nothing_is_restored_to(source, tmp_path, monkeypatch):
    file = tmp_path / "x.snapshot"
    with open_store(source) as store:
        store.snapshot(file)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(StoreError, match="name a new folder"):
        restore(file, ".")
    with pytest.raises(BadArgument, match="name a folder"):
        plugin(":memory:").restore(file, ":memory:")
    restore(file, "below")
    assert len(everything("below")) == 2345


def test_a_snapshot_cannot_write_outside_its_folder(tmp_path):
    with (tmp_path / "evil").open("w+b") as raw, tarfile.open(fileobj=raw, mode="w") as archive:
        for name in ("manifest.json", "shard/x", "../outside"):
            file = tarfile.TarInfo(name)
            archive.addfile(file)
        seal(archive, raw)
    with pytest.raises(StoreError, match="snapshot"):
        restore(tmp_path / "evil", str(tmp_path / "deep" / "back"))
    assert not (tmp_path / "deep" / "outside").exists() and not (tmp_path / "outside").exists()


def test_a_snapshot_that_cannot_be_written_leaves_the_store_whole(source, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(tarfile.TarFile, "add", full)
    with open_store(source) as store:
        with pytest.raises(StoreError, match="No space left"):
            store.snapshot(tmp_path / "x.snapshot")
        assert store.count(scope=EVERYBODY) == 2345
    assert not list(tmp_path.glob("x.snapshot*"))
