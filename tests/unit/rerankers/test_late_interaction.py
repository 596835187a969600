"""Late interaction, against the model's own hidden states and a loop over tokens."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")
from unit.encoders.tiny_models import add_modules, save_bert

from drehr_rag import load_encoder
from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.rerankers import load_reranker
from drehr_rag.testing import HashEncoder

QUERY = "heart failing"
TEXTS = [
    "no gout of the toe",
    "failing heart: pain",
    "gout " * 100,
    "unknown",
    "no gout of the toe",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_thread):
    return add_modules(save_bert(tmp_path_factory.mktemp("tokens") / "bert"))


@torch.no_grad()
def by_hand(folder, query, text, length=64):
    """MaxSim with nothing of ours or of sentence-transformers, one token after the other."""
    model = transformers.BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    sides = []
    for words in (query, text):
        batch = tokenizer(words, truncation=True, max_length=length, return_tensors="pt")
        sides.append(model(**batch).last_hidden_state[0])
    cosines = torch.nn.functional.cosine_similarity(
        sides[0][:, None, :], sides[1][None, :, :], dim=-1
    )
    return float(np.mean([max(row) for row in cosines.tolist()]))


def test_scores_are_those_of_a_loop_over_tokens(folder):
    encoder = load_encoder(folder, precision="float32", backend="torch")
    scores = load_reranker("late-interaction", encoder=encoder).score(QUERY, TEXTS)
    assert scores == pytest.approx([by_hand(folder, QUERY, text) for text in TEXTS], abs=1e-3)
    assert scores[0] == scores[4] and max(scores) <= 1.001


def test_kept_passages_are_not_encoded_again_and_the_oldest_go(folder, monkeypatch):
    encoder = load_encoder(folder, precision="float32", backend="torch")
    asked = []
    real = encoder.passage_tokens
    monkeypatch.setattr(
        encoder, "passage_tokens", lambda texts: asked.append(list(texts)) or real(texts)
    )
    reranker = load_reranker("late-interaction", encoder=encoder, kept=2)
    first = reranker.score(QUERY, TEXTS[:2])
    assert reranker.score(QUERY, TEXTS[:2]) == first
    reranker.score(QUERY, TEXTS[1:3])
    reranker.score(QUERY, TEXTS[:1])
    assert asked == [TEXTS[:2], TEXTS[2:3], TEXTS[:1]]
    assert reranker.score(QUERY, []) == []


def test_what_is_closer_word_by_word_stands_higher():
    scores = load_reranker("late-interaction", encoder=HashEncoder(dimension=64)).score(
        "heart failure", ["heart failure and gout", "gout and heart", "toe"]
    )
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.99


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("late-interaction:x", {}, BadArgument, "only the index's own encoder"),
        ("late-interaction", {"encoder": object()}, BadArgument, "tells its token vectors"),
        ("late-interaction", {"kept": -1}, BadArgument, "kept is a whole number"),
        ("late-interaction", {"depth": 1}, UnknownName, "takes only kept, not depth"),
        ("late-interactoin", {}, UnknownName, "Did you mean 'late-interaction'"),
    ],
)
def test_what_cannot_be_meant(name, options, error, message):
    with pytest.raises(error, match=message):
        load_reranker(name, **{"encoder": HashEncoder(), **options})
