"""DR.EHR-small and other folders, on tiny random BERTs, against torch itself."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import transformers
from unit.encoders.tiny_models import (
    PROMPTS,
    TEXTS,
    WORDS,
    add_modules,
    computed,
    copy_of,
    load,
    save_bert,
)

from drehr_rag import EhrIndex
from drehr_rag.errors import BadArgument, EncoderError


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """As the DR.EHR authors publish: no modules.json."""
    return save_bert(tmp_path_factory.mktemp("models") / "bare")


@pytest.fixture(scope="module")
def mean(tmp_path_factory, bare):
    """The same weights, and a modules.json that says mean pooling."""
    return add_modules(copy_of(bare, tmp_path_factory.mktemp("models")))


# --- DR.EHR-small


@pytest.mark.parametrize("kind", ["bare", "mean"])
@pytest.mark.parametrize("verb", ["encode_queries", "encode_passages"])
def test_dr_ehr_small_is_cls_whatever_the_folder_says(request, kind, verb):
    folder = request.getfixturevalue(kind)
    vectors = getattr(load(f"dr-ehr-small:{folder}"), verb)(TEXTS)
    assert np.abs(vectors - computed(folder, TEXTS, "cls")).max() < 1e-5
    assert np.abs(vectors - computed(folder, TEXTS, "mean")).max() > 0.05


def test_dr_ehr_small_is_the_first_thing_a_process_loads(bare):
    """Nothing else has imported sentence-transformers' parts before."""
    script = (
        f"from drehr_rag import load_encoder; load_encoder('dr-ehr-small:{bare}', device='cpu')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=90, cwd=bare.parent
    )
    assert done.returncode == 0, done.stderr[-1000:]


def test_dr_ehr_small_has_no_prompts_whatever_the_folder_says(bare, tmp_path):
    prompts = {**PROMPTS, "default_prompt_name": "query"}
    folder = add_modules(copy_of(bare, tmp_path), prompts=prompts)
    encoder = load(f"dr-ehr-small:{folder}")
    assert np.abs(encoder.encode_queries(TEXTS) - computed(folder, TEXTS, "cls")).max() < 1e-5


def test_dr_ehr_small_fingerprint(bare, mean):
    encoder = load(f"dr-ehr-small:{bare}")
    given = encoder.fingerprint
    assert (given.model, given.pooling, given.max_tokens) == ("dr-ehr-small", "cls", 512)
    assert (given.dimension, given.query_prompt, given.passage_prompt) == (32, "", "")
    assert given == load(f"dr-ehr-small:{mean}").fingerprint
    assert encoder.name == f"dr-ehr-small:{bare}"
    assert encoder.max_tokens == 510


def test_dr_ehr_small_counts_what_it_cuts(bare):
    encoder = load(f"dr-ehr-small:{bare}")
    encoder.encode_passages(["gout " * 510, "gout " * 511, "gout"])
    assert encoder.truncated == 1


def test_batches_are_put_back_in_order(bare):
    encoder = load(f"dr-ehr-small:{bare}")
    texts = [" ".join(WORDS[i % 7] for i in range(n, n + n % 50 + 1)) for n in range(70)]
    assert np.abs(encoder.encode_passages(texts) - computed(bare, texts, "cls")).max() < 1e-5


def test_threads_may_share_an_encoder(bare):
    encoder = load(f"dr-ehr-small:{bare}")
    expected = encoder.encode_passages(TEXTS)
    worst = []

    def work():
        for _ in range(5):
            worst.append(np.abs(encoder.encode_passages(TEXTS) - expected).max())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(worst) == 20
    assert max(worst) < 1e-5


# --- any sentence-transformers folder


@pytest.mark.parametrize("prefix", ["", "sentence-transformer:", "sentence_transformer:"])
def test_a_folder_is_pooled_as_it_says(mean, prefix):
    encoder = load(f"{prefix}{mean}")
    assert encoder.fingerprint.pooling == "mean"
    assert encoder.fingerprint.max_tokens == 64
    vectors = encoder.encode_passages(TEXTS)
    assert np.abs(vectors - computed(mean, TEXTS, "mean", 64)).max() < 1e-5


def test_a_folder_that_does_not_say_how_to_pool_is_refused(bare):
    with pytest.raises(EncoderError, match=f"no modules.json.*dr-ehr-small:{bare}"):
        load(bare)


def test_prompts_go_before_what_they_are_for(bare, tmp_path):
    folder = add_modules(copy_of(bare, tmp_path), prompts=PROMPTS)
    encoder = load(folder)
    for verb, prompt in [("encode_queries", "query: "), ("encode_passages", "passage: ")]:
        expected = computed(folder, [prompt + text for text in TEXTS], "mean", 64)
        assert np.abs(getattr(encoder, verb)(TEXTS) - expected).max() < 1e-5
    assert encoder.fingerprint.query_prompt == "query: "
    assert encoder.max_tokens == 64 - 2 - 2  # [CLS], [SEP]; "passage", ":"


def test_a_query_prompt_leaves_passages_alone(bare, tmp_path):
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    folder = add_modules(copy_of(bare, tmp_path), prompts=prompts)
    encoder = load(folder)
    passages = computed(folder, TEXTS, "mean", 64)
    queries = computed(folder, [f"query: {text}" for text in TEXTS], "mean", 64)
    assert np.abs(encoder.encode_passages(TEXTS) - passages).max() < 1e-5
    assert np.abs(encoder.encode_queries(TEXTS) - queries).max() < 1e-5


def test_truncation_counts_the_prompt(bare, tmp_path):
    encoder = load(add_modules(copy_of(bare, tmp_path), prompts=PROMPTS, length=16))
    encoder.encode_passages(["gout " * 12, "gout " * 13])
    assert encoder.truncated == 1


# --- the fingerprint


def test_fingerprint_says_what_decides_the_vectors(mean, bare, tmp_path):
    given = load(mean).fingerprint
    changed = {
        "weights": add_modules(save_bert(tmp_path / "w" / mean.name, seed=1)),
        "vocabulary": add_modules(save_bert(tmp_path / "v" / mean.name, words=WORDS[::-1])),
        "pooling": add_modules(
            copy_of(bare, tmp_path),
            pooling={"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        ),
        "length": add_modules(copy_of(mean, tmp_path / "l"), length=32),
        "prompts": add_modules(copy_of(mean, tmp_path / "p"), prompts=PROMPTS),
    }
    for what, folder in changed.items():
        assert load(folder).fingerprint != given, what
    assert load(mean, max_tokens=32).fingerprint != given
    assert load(mean, query_prompt="q: ").fingerprint != given
    assert load(mean, passage_prompt="p: ").fingerprint != given


def test_fingerprint_knows_the_architecture(mean, tmp_path):
    """The same weights with another number of heads give other vectors."""
    folder = copy_of(mean, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 2}))
    one, two = load(mean), load(folder)
    assert np.abs(one.encode_passages(TEXTS) - two.encode_passages(TEXTS)).max() > 1e-3
    assert one.fingerprint != two.fingerprint


def test_fingerprint_does_not_know_precision_or_place(mean, tmp_path):
    copy = copy_of(mean, tmp_path)
    (copy / "README.md").write_text("notes on this copy")
    assert load(copy, precision="bfloat16").fingerprint == load(mean).fingerprint


# --- folders that cannot be used


def test_a_folder_without_weights(bare, tmp_path):
    folder = add_modules(copy_of(bare, tmp_path))
    (folder / "model.safetensors").unlink()
    for name in (folder, f"dr-ehr-small:{folder}"):
        with pytest.raises(EncoderError):
            load(name)


def test_weights_cut_off(bare, tmp_path):
    folder = add_modules(copy_of(bare, tmp_path))
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    for name in (folder, f"dr-ehr-small:{folder}"):
        with pytest.raises(EncoderError, match="cannot be loaded"):
            load(name)


def test_vectors_that_are_not_finite_are_refused(bare, tmp_path):
    folder = copy_of(bare, tmp_path)
    model = transformers.BertModel.from_pretrained(folder)
    model.embeddings.LayerNorm.weight.data[:] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(EncoderError, match="not finite"):
        load(f"dr-ehr-small:{folder}").encode_passages(["gout"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"precision": "float8"}, "precision is auto, float32, .* not 'float8'"),
        ({"batch_size": 0}, "batch_size is a whole number from 1 up, not 0"),
        ({"max_tokens": 100_000}, "max_tokens=100000 is over the 512 that"),
        ({"max_tokens": 0}, "max_tokens is a whole number"),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(mean, option, message):
    with pytest.raises(BadArgument, match=message):
        load(mean, **option)


def test_a_folder_may_be_a_path(mean):
    with EhrIndex.open(":memory:", encoder=mean) as index:
        assert index.info()["encoder"] == str(mean)
