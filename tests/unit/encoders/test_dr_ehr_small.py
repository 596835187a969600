"""DR.EHR-small from every form of mirror on a machine without internet."""

import shutil

import pytest
from unit.encoders.tiny_models import (
    TEXTS,
    add_modules,
    apart,
    computed,
    copy_of,
    load,
    safetensors,
    torch,
    weights,
)

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.errors import EncoderMismatch


def test_dr_ehr_small_from_a_copy_of_the_hubs_cache(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--THUMedInfo--DR.EHR-small"
    bare = whole["dr-ehr-small"]
    shutil.copytree(bare, cache / "snapshots" / ("a" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    encoder = load("dr-ehr-small")
    assert encoder.name == "dr-ehr-small"
    assert encoder.fingerprint == load(f"dr-ehr-small:{bare}").fingerprint
    assert apart(encoder.encode_queries(TEXTS), computed(bare, TEXTS, "cls")) < 1e-5


def test_a_revision_is_loaded_told_and_remembered(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--THUMedInfo--DR.EHR-small"
    (cache / "refs").mkdir(parents=True)
    for name, commit in (("main", "a" * 40), ("v2", "b" * 40)):
        (cache / "refs" / name).write_text(commit)
        folder = cache / "snapshots" / commit
        shutil.copytree(whole["dr-ehr-small"], folder)
    state = safetensors.load_file(weights(folder))
    safetensors.save_file(
        {k: v.flip(0) for k, v in state.items()}, weights(folder), {"format": "pt"}
    )
    first, second = load("dr-ehr-small"), load("dr-ehr-small", revision="v2")
    by_commit = load("dr-ehr-small", revision="b" * 40)
    told = [each.fingerprint.revision for each in (first, second, by_commit)]
    assert told == [None, "v2", "b" * 40]
    assert first.fingerprint.weights != second.fingerprint.weights == by_commit.fingerprint.weights
    place = tmp_path / "x.idx"
    options = {"revision": "v2", "device": "cpu"}
    with EhrIndex.open(place, encoder="dr-ehr-small", encoder_options=options) as index:
        index.add([note for note in ward.notes() if note.patient_id == "p08"][:2])
    with EhrIndex.open(place) as index:
        assert index.encoder.fingerprint == second.fingerprint
    with EhrIndex.open(place, encoder=by_commit):
        pass  # the same weights by another name
    with pytest.raises(EncoderMismatch, match="weights"):
        EhrIndex.open(place, encoder=first)


@pytest.mark.parametrize("form", ["bin", "vocab only", "modules", "modules, no pooling"])
def test_dr_ehr_small_is_cls_from_every_form_of_folder(whole, form, tmp_path):
    bare = whole["dr-ehr-small"]
    folder = copy_of(bare, tmp_path)
    if form == "bin":
        torch.save(safetensors.load_file(weights(folder)), folder / "pytorch_model.bin")
        weights(folder).unlink()
    elif form == "vocab only":
        (folder / "tokenizer.json").unlink()
    else:
        add_modules(folder)
    if form == "modules, no pooling":
        shutil.rmtree(folder / "1_Pooling")
    encoder = load(f"dr-ehr-small:{folder}")
    assert encoder.fingerprint.pooling == "cls"
    assert apart(encoder.encode_passages(TEXTS), computed(bare, TEXTS, "cls")) < 1e-5
    assert apart(encoder.encode_passages(TEXTS), computed(bare, TEXTS, "mean")) > 0.05


def test_dr_ehr_small_opens_a_store_from_a_copy_with_or_without_modules(whole, tmp_path):
    bare = whole["dr-ehr-small"]
    moved = add_modules(copy_of(bare, tmp_path))
    some = [note for note in ward.notes() if note.patient_id == "p08"][:2]
    with EhrIndex.open(tmp_path / "x.idx", encoder=f"dr-ehr-small:{bare}") as index:
        index.add(some)
        expected = index.search("heparin", scope=Patient("p08"), mode="dense")
    for encoder in (None, f"dr-ehr-small:{moved}"):
        with EhrIndex.open(tmp_path / "x.idx", encoder=encoder) as index:
            found = index.search("heparin", scope=Patient("p08"), mode="dense")
        assert [hit.chunk for hit in found] == [hit.chunk for hit in expected]
