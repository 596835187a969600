"""The card says what a hub should show, and only what is known."""

import json

import pytest

from drehr_rag.errors import TrainingError
from drehr_rag.training.card import card, licences
from drehr_rag.training.manifest import build_manifest, manifest_of, same_training
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
    assert 'base_model: "sentence-transformers/all-MiniLM-L6-v2"' in text
    assert "| sentence-transformers/all-MiniLM-L6-v2 (base model) | Apache-2.0 |" in text
    assert "| a.jsonl.gz | 1,200 | 1 |" in text
    assert "| mtsamples | CC0 |" in text and "| vaers | PD |" in text
    assert "No licence is known here of: b.jsonl." in text
    assert "| nDCG@10 | 0.1000 | 0.2500 |" in text
    assert '"lr": 3e-05' in text and "1,234 steps" in text and "step 900" in text
    assert "devset:x" in text and "Limits" in text
    assert licences(about) == [("mtsamples", "CC0"), ("vaers", "PD")]


def of_model(model, examples=()):
    made = manifest_of(model, examples, Settings(), processes=1)
    return {**made, "steps": 1, "saved_step": 1, "before": {}, "after": {}}


def test_a_base_is_named_by_its_hub_id_or_not_at_all(tmp_path):
    small = card(of_model("dr-ehr-small:BAAI/bge-base-en-v1.5"), name="m")
    assert 'base_model: "BAAI/bge-base-en-v1.5"' in small
    assert "| BAAI/bge-base-en-v1.5 (base model) | MIT |" in small
    large = card(of_model("dr-ehr-large:nvidia/NV-Embed-v2"), name="m")
    assert "| nvidia/NV-Embed-v2 (base model) | CC-BY-NC-4.0 |" in large
    (tmp_path / "bert").mkdir()
    private = card(of_model(f"dr-ehr-small:{tmp_path / 'bert'}"), name="m")
    assert "base_model" not in private and str(tmp_path) not in private
    assert "from `bert`" in private and "known here of: bert (base model)" in private


def test_what_the_base_was_trained_on_here_counts_too(about, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "training_manifest.json").write_text(json.dumps(about))
    (tmp_path / "c.jsonl").write_text("x")
    graph = {"sources": {"graph": "0f"}, "settings": {"licences": {"doid": "CC0-1.0"}}}
    (tmp_path / "c.manifest.json").write_text(json.dumps(graph))
    two = of_model(str(tmp_path / "one"), [(tmp_path / "c.jsonl", 1.0, 3)])
    assert licences(two) == [("doid", "CC0-1.0"), ("mtsamples", "CC0"), ("vaers", "PD")]
    text = card(two, name="m")
    assert 'base_model: "sentence-transformers/all-MiniLM-L6-v2"' in text
    assert "from `one`" in text and str(tmp_path) not in text
    assert "known here of: b.jsonl." in text


def test_without_an_evaluation(about):
    text = card({**about, "before": {}, "after": {}}, name="m")
    assert "Not measured" in text


def test_manifests_beside_are_found_by_either_name(tmp_path):
    assert build_manifest(tmp_path / "x.jsonl.gz") is None
    (tmp_path / "x.manifest.json").write_text('{"a": 1}')
    assert (
        build_manifest(tmp_path / "x.jsonl.gz") == build_manifest(tmp_path / "x.jsonl") == {"a": 1}
    )
    (tmp_path / "x.jsonl.gz.manifest.json").write_text('{"a": 2}')
    assert build_manifest(tmp_path / "x.jsonl.gz") == {"a": 2}
    (tmp_path / "x.manifest.json").write_text("[]")
    with pytest.raises(TrainingError, match="holds no JSON object"):
        build_manifest(tmp_path / "x.jsonl")


def test_other_examples_are_another_training(about, tmp_path):
    same_training(about, about, tmp_path)
    with pytest.raises(TrainingError, match="other examples"):
        same_training(about, {**about, "examples": []}, tmp_path)
    with pytest.raises(TrainingError, match="other processes"):
        same_training(about, {**about, "processes": 2}, tmp_path)
