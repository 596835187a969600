"""Settings that cannot be meant are refused; the presets are the paper's table."""

from dataclasses import replace

import pytest

from drehr_rag.errors import TrainingError, UnknownName
from drehr_rag.training.losses import load_loss
from drehr_rag.training.presets import PRESETS, preset
from drehr_rag.training.settings import Lora, Settings

TABLE = {
    "dr-ehr-small-stage1": (128, 32, 3),
    "dr-ehr-small-stage2": (16, 32, 1),
    "dr-ehr-large-stage1": (32, 16, 1),
    "dr-ehr-large-stage2": (16, 16, 1),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_papers_table(name):
    found = preset(name)
    assert (found.positives, found.batch, found.epochs) == TABLE[name]
    assert (found.lr, found.warmup, found.clip) == (1e-4, 0.1, 1.0)
    assert (found.passage_tokens, found.entity_tokens) == (160, 16)
    assert (found.loss, found.loss_options) == ("multi-similarity", {"variant": "released"})
    large = "large" in name
    assert found.lora == (Lora(rank=16, alpha=32, dropout=0.1) if large else None)
    assert (found.bf16, found.gather) == (large, large)
    assert (found.keep, found.blend) == (0, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_losses_of_presets_exist(name):
    pytest.importorskip("torch")
    assert load_loss(preset(name).loss, **preset(name).loss_options)


def test_an_unknown_preset():
    with pytest.raises(UnknownName, match="there are dr-ehr-small-stage1"):
        preset("huge")


@pytest.mark.parametrize(
    "wrong",
    [
        {"positives": 0},
        {"batch": True},
        {"steps": 0},
        {"chunk": -1},
        {"freeze": -1},
        {"dropout": 1.0},
        {"epochs": 0},
        {"lr": 0},
        {"lr": float("nan")},
        {"warmup": 1.0},
        {"keep": -0.1},
        {"blend": 0},
        {"blend": 1.5},
        {"clip": 0},
    ],
)
def test_what_cannot_be_meant(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        replace(Settings(), **wrong)
