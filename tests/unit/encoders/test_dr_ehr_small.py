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
