"""A megabyte without a space, by each overflow policy, and texts with nothing in them."""

import numpy as np
import pytest
from unit.encoders.tiny_models import KINDS, WORDS, apart, computed, load, save_bert

from drehr_rag.errors import EncoderError, TextTooLong

LONG_WORD = "w" * 90


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A BERT that knows a word of 90 letters, so that a megabyte is soon read."""
    return save_bert(tmp_path_factory.mktemp("models") / "bert", words=[*WORDS, LONG_WORD])


BLOB = (LONG_WORD + ".") * 11_000
"""A megabyte without a space: 22,000 tokens."""

ROOM = 510


@pytest.mark.parametrize("kind", ["dr-ehr-small", "bge"])
def test_a_megabyte_without_spaces_is_cut_and_counted(reader, kind, caplog):
    encoder = load(f"{kind}:{reader}")
    assert encoder.count_tokens([BLOB]) == [22_000]
    vectors = encoder.encode_passages([BLOB, "gout", ""])
    assert encoder.truncated == 1 and f"cut 1 of 3 texts at {ROOM} tokens" in caplog.text
    assert apart(vectors, computed(reader, [BLOB[:50_000], "gout", ""], "cls")) < 1e-5
    assert LONG_WORD not in caplog.text


def test_a_megabyte_without_spaces_is_encoded_in_parts(reader):
    encoder = load(f"dr-ehr-small:{reader}", overflow="split")
    size = ROOM // 2 * len(LONG_WORD + ".")
    parts = [BLOB[i : i + size] for i in range(0, len(BLOB), size)]
    counts = [2.0 * part.count(".") for part in parts]
    expected = np.average(computed(reader, parts, "cls"), axis=0, weights=counts)
    found = encoder.encode_passages([BLOB, "gout", ""])
    assert apart(found[0], expected / np.linalg.norm(expected)) < 1e-5
    assert apart(found[1:], computed(reader, ["gout", ""], "cls")) < 1e-5
    assert encoder.truncated == 0


def test_a_megabyte_without_spaces_is_refused(reader):
    encoder = load(f"dr-ehr-small:{reader}", overflow="error")
    with pytest.raises(TextTooLong, match="text 1 of this call has 22000 tokens") as error:
        encoder.encode_passages(["gout", BLOB])
    assert LONG_WORD not in str(error.value)
    assert len(str(error.value)) < 400


def test_parts_end_between_words_and_lose_no_character(reader):
    encoder = load(f"dr-ehr-small:{reader}", overflow="split")
    text = "gout  of the\n\ntoe, heart failure. " * 40 + "wwww" * 30 + "toes " * 7
    for room in (1, 2, 7, 50):
        pieces = encoder._pieces(text, room)
        assert "".join(pieces) == text
        assert max(encoder.count_tokens(pieces)) <= room
        if room == 50:
            assert all(piece[-1].isspace() or piece == pieces[-1] for piece in pieces)


@pytest.mark.parametrize("overflow", ["warn", "split", "error"])
@pytest.mark.parametrize("kind", KINDS)
def test_empty_texts_have_vectors(whole, kind, overflow):
    encoder = load(f"{kind}:{whole[kind]}", overflow=overflow)
    for verb in (encoder.encode_queries, encoder.encode_passages):
        alone, beside = verb([""]), verb(["gout", "", " \n"])
        assert np.linalg.norm(alone, axis=1) == pytest.approx(1)
        assert apart(beside[1:], np.vstack([alone, alone])) < 1e-5
        assert verb([]).shape == (0, encoder.fingerprint.dimension)
    assert encoder.truncated == 0


def test_a_prompt_that_leaves_no_room_is_an_error(whole):
    encoder = load(whole["sentence-transformer"], query_prompt="gout " * 70)
    with pytest.raises(EncoderError, match="max_tokens=64 leaves no room beside the prompt"):
        encoder.encode_queries(["toe"])
    assert encoder.encode_passages(["toe"]).shape == (1, 32)
