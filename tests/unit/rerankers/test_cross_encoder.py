"""A cross-encoder by its folder, against plain transformers."""

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")
from unit.encoders.tiny_models import copy_of
from unit.rerankers.tiny_cross_encoder import save_cross_encoder

from drehr_rag.errors import BadArgument, ModelUnavailable, RerankerError, UnknownName
from drehr_rag.rerankers import load_reranker

QUERY = "heart failing"
TEXTS = ["no gout of the toe", "failing heart: pain", "gout " * 600, "unknown words"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_thread):
    return save_cross_encoder(tmp_path_factory.mktemp("cross") / "bert")


@torch.no_grad()
def by_hand(folder, length):
    model = transformers.BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    scores = []
    for text in TEXTS:
        pair = tokenizer(
            QUERY, text, truncation="longest_first", max_length=length, return_tensors="pt"
        )
        scores.append(float(torch.sigmoid(model.eval()(**pair).logits[0, 0])))
    return scores


@pytest.mark.parametrize("length", [512, 24])
def test_scores_are_those_of_transformers(folder, length):
    options = {} if length == 512 else {"max_tokens": length}
    reranker = load_reranker(f"cross-encoder:{folder}", precision="float32", **options)
    scores = reranker.score(QUERY, TEXTS)
    assert scores == pytest.approx(by_hand(folder, length), abs=1e-5)
    assert len(set(scores)) == len(TEXTS)
    assert reranker.score(QUERY, []) == []


def test_a_model_of_several_classes_is_refused(tmp_path):
    folder = save_cross_encoder(tmp_path / "bert", labels=3)
    with pytest.raises(RerankerError, match="gives 3 numbers a pair, not one score"):
        load_reranker(f"cross-encoder:{folder}")


def test_a_head_that_is_not_in_the_files_is_refused(tmp_path):
    from unit.encoders.tiny_models import save_bert

    config = save_bert(tmp_path / "bert") / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_labels": 1}))
    with pytest.raises(RerankerError, match="only a part of a cross-encoder: classifier"):
        load_reranker(f"cross-encoder:{tmp_path / 'bert'}")


def test_broken_files(folder, tmp_path):
    broken = copy_of(folder, tmp_path)
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RerankerError, match="cannot be loaded as a cross-encoder"):
        load_reranker(f"cross-encoder:{broken}")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("cross-encoder", {}, BadArgument, "give the folder or hub id"),
        ("cross-encoder:./nowhere", {}, ModelUnavailable, "there is no model folder"),
        ("cross-encoder:x", {"batch_size": 0}, BadArgument, "batch_size is a whole number"),
        ("cross-encoder:x", {"device": "abacus"}, BadArgument, "no device 'abacus'"),
        ("cross-encoder:x", {"lenght": 3}, UnknownName, "not lenght"),
    ],
)
def test_what_cannot_be_meant(name, options, error, message):
    with pytest.raises(error, match=message):
        load_reranker(name, **options)
