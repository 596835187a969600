"""The card says what a hub should show, and only what is known."""

import json

import pytest

from drehr_rag.errors import TrainingError
from drehr_rag.training.card import card, licences
from drehr_rag.training.manifest import beside, manifest_of, same_training
from drehr_rag.training.settings import Settings

SOURCES = {"sources": [{"name": "mtsamples", "licence": "CC0"}, {"file": "vaers", "license": "PD"}]}


@pytest.fixture
def about(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl"):
        (tmp_path / name).write_text("x")
    (tmp_path / "a.manifest.json").write_text(json.dumps(SOURCES))
    files = [(tmp_path / "a.jsonl.gz", 1.0, 1200), (tmp_path / "b.jsonl", 0.5, 7)]
    made = manifest_of("offline", files, Settings(lr=3e-5), processes=1)
    more = {"steps": 1234, "saved_step": 900, "evaluated_on": "devset:x"}
    return {**made, **more, "before": {"nDCG@10": 0.1}, "after": {"nDCG@10": 0.25}}


def test_data_licences_settings_scores(about):
    text = card(about, name="my-model")
    assert text.startswith("---\nlibrary_name: sentence-transformers\n")
    assert 'base_model: "offline"' in text
    assert "| a.jsonl.gz | 1,200 | 1 |" in text
    assert "| mtsamples | CC0 |" in text and "| vaers | PD |" in text
    assert "the licence is not known here: b.jsonl" in text
    assert "| nDCG@10 | 0.1000 | 0.2500 |" in text
    assert '"lr": 3e-05' in text and "1,234 steps" in text and "step 900" in text
    assert "devset:x" in text and "Limits" in text
    assert licences(about) == [("mtsamples", "CC0"), ("vaers", "PD")]


def test_without_an_evaluation(about):
    text = card({**about, "before": {}, "after": {}}, name="m")
    assert "Not measured" in text


def test_manifests_beside_are_found_by_either_name(tmp_path):
    assert beside(tmp_path / "x.jsonl.gz") is None
    (tmp_path / "x.manifest.json").write_text('{"a": 1}')
    assert beside(tmp_path / "x.jsonl.gz") == beside(tmp_path / "x.jsonl") == {"a": 1}
    (tmp_path / "x.jsonl.gz.manifest.json").write_text('{"a": 2}')
    assert beside(tmp_path / "x.jsonl.gz") == {"a": 2}
    (tmp_path / "x.manifest.json").write_text("[]")
    with pytest.raises(TrainingError, match="not a JSON object"):
        beside(tmp_path / "x.jsonl")


def test_other_examples_are_another_training(about, tmp_path):
    same_training(about, about, tmp_path)
    with pytest.raises(TrainingError, match="other examples"):
        same_training(about, {**about, "examples": []}, tmp_path)
    with pytest.raises(TrainingError, match="other processes"):
        same_training(about, {**about, "processes": 2}, tmp_path)
