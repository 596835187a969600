"""RoBERTa has fewer places for tokens than its configuration says."""

import numpy as np
import pytest
from tiny_models import WORDS, add_modules, load, torch, transformers

from drehr_rag.errors import BadArgument

POSITIONS = 66
"""Two of them are never used: those up to the padding's number, 1."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer without a limit of its own, as many are published."""
    place = tmp_path_factory.mktemp("roberta")
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *WORDS]
    (place / "vocab.txt").write_text("\n".join(words) + "\n")
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=POSITIONS, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, type_vocab_size=1, initializer_range=0.5,
    )  # fmt: skip
    transformers.RobertaModel(config).save_pretrained(place)
    transformers.BertTokenizer(
        vocab={word: i for i, word in enumerate(words)}, unk_token="<unk>", sep_token="</s>",
        pad_token="<pad>", cls_token="<s>", mask_token="<mask>",
    ).save_pretrained(place)  # fmt: skip
    add_modules(place, length=512)
    return place


def test_texts_up_to_the_last_place_are_read(folder):
    encoder = load(str(folder))
    assert encoder.fingerprint.max_tokens == POSITIONS - 2
    longest = " ".join(["gout"] * encoder.max_tokens)
    vectors = encoder.encode_passages(["gout", longest, f"{longest} toe pain"])
    assert np.isfinite(vectors).all()


def test_more_is_refused(folder):
    with pytest.raises(BadArgument, match=f"max_tokens=65 is over the {POSITIONS - 2}"):
        load(str(folder), max_tokens=POSITIONS - 1)
    assert load(str(folder), max_tokens=POSITIONS - 2).max_tokens == POSITIONS - 4
