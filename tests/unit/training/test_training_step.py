"""A step chunk by chunk has the gradients of one at once, the term that keeps it near included."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from unit.training import synonym_task as synonyms
from unit.training.tiny_bert import gradients

from drehr_rag.training.contrast import Contrast
from drehr_rag.training.loading import trainable
from drehr_rag.training.losses import load_loss
from drehr_rag.training.mixture import Mixture, Source
from drehr_rag.training.step import Step, item

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = replace(synonyms.SMALL, keep=0.7)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """In float64, moved from its beginning, with dropout."""
    place = tmp_path_factory.mktemp("step")
    synonyms.save_model(place / "bert")
    made = trainable(str(place / "bert"), SETTINGS).double()
    made._initial[0].double()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made.train()


def taken(model, one, **options):
    loss = load_loss("multi-similarity", variant="wang2019")
    step = Step(
        contrast=Contrast(loss=loss), device=torch.device("cpu"), autocast=nullcontext, **options
    )
    torch.manual_seed(3)  # of dropout
    value, parts = step(model, model, one, unsynchronised=nullcontext)
    return float(value), parts, gradients(model)


@pytest.mark.parametrize("keep", [0.0, 0.7])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_gradients_chunk_by_chunk_are_those_at_once(model, size, keep):
    batch = Mixture([Source(synonyms.examples(20))], SETTINGS)[0]
    one = item(model, batch, size=size)
    value, parts, whole = taken(model, one, keep=keep)
    same, _, chunked = taken(model, one, keep=keep, cached=True)
    assert same == pytest.approx(value, abs=1e-12)
    assert chunked.keys() == whole.keys() and len(whole) > 20
    for name, gradient in whole.items():
        assert (gradient - chunked[name]).abs().max() < 1e-10, name
    assert bool(parts) == bool(keep)


def test_the_term_is_the_mean_of_1_minus_cosine(model):
    batch = Mixture([Source(synonyms.examples(20))], SETTINGS)[0]
    one = item(model, batch, size=4)
    model.eval()
    try:
        value, parts, _ = taken(model, one, keep=0.7)
        rows = []
        for texts, query in ((batch.passages, False), (batch.entities, True)):
            features = model.features(texts, query=query)
            with torch.no_grad(), model.initial() as embed:
                rows.append(1 - torch.cosine_similarity(model(features), embed(features)))
    finally:
        model.train()
    assert parts["drift"] == pytest.approx(float(torch.cat(rows).mean()), abs=1e-10)
    assert value == pytest.approx(parts["contrast"] + 0.7 * parts["drift"], abs=1e-10)
    assert parts["drift"] > 0.01


def test_an_item_shows_no_token(model):
    batch = Mixture([Source(synonyms.examples(20))], SETTINGS)[0]
    assert "input_ids" not in repr(item(model, batch, size=8))
