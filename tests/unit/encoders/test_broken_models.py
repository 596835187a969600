"""Folders that are not whole, and weights that are not numbers."""

import shutil

import pytest
from unit.encoders.tiny_models import (
    KINDS,
    TEXTS,
    WORDS,
    apart,
    change,
    computed,
    copy_of,
    load,
    torch,
    transformers,
)

from drehr_rag import EhrIndex, Note, Patient
from drehr_rag.encoders.medcpt import ARTICLES, QUERIES
from drehr_rag.errors import EncoderError

# --- folders that are not whole


@pytest.mark.parametrize("how", ["gone", "empty", "junk", "half"])
@pytest.mark.parametrize("kind", ["dr-ehr-small", "medcpt", "cortex", "sentence-transformer"])
def test_each_file_that_is_broken_is_an_error_or_does_not_matter(whole, kind, how, tmp_path):
    text = ["gout of the toe"]
    expected = load(f"{kind}:{whole[kind]}").encode_passages(text)
    refused = 0
    for file in sorted(p for p in whole[kind].rglob("*") if p.is_file()):
        folder = shutil.copytree(whole[kind], tmp_path / "broken")
        broken, data = folder / file.relative_to(whole[kind]), file.read_bytes()
        broken.unlink()
        if how != "gone":
            broken.write_bytes({"empty": b"", "junk": b"{]\0", "half": data[: len(data) // 2]}[how])
        try:
            vectors = load(f"{kind}:{folder}").encode_passages(text)
        except EncoderError as error:
            assert str(folder) in str(error)
            refused += 1
        else:
            assert apart(vectors, expected) < 1e-5, file.name
        shutil.rmtree(folder)
    assert refused >= 2  # config.json and the weights at least


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_no_file_holds_are_an_error(whole, kind, tmp_path):
    """Not random numbers, which is what transformers would put in their place."""
    folder = copy_of(whole[kind], tmp_path)
    change(folder, lambda tensors: {f"other.{name}": value for name, value in tensors.items()})
    with pytest.raises(EncoderError, match=r"holds only a part of the model: .* random numbers"):
        load(f"{kind}:{folder}")


@pytest.mark.parametrize("lost", ["embeddings.LayerNorm.bias", "encoder.layer.1.output.dense.bias"])
def test_one_lost_parameter_is_named(whole, tmp_path, lost):
    folder = copy_of(whole["dr-ehr-small"], tmp_path)
    change(folder, lambda tensors: {k: v for k, v in tensors.items() if k != lost})
    with pytest.raises(EncoderError, match=rf"part of the model: {lost.replace('.', '[.]')} \(1 "):
        load(f"dr-ehr-small:{folder}")


def test_what_a_model_does_not_use_may_be_lost_or_left_over(whole, tmp_path):
    """A model saved with the head that trained it, or without BERT's pooler."""
    bare = whole["dr-ehr-small"]
    expected = computed(bare, TEXTS, "cls")
    for name, drop in (("headless", "pooler."), ("more", "nothing")):
        folder = shutil.copytree(bare, tmp_path / name)
        change(
            folder,
            lambda tensors, drop=drop: {
                **{f"bert.{k}": v for k, v in tensors.items() if not k.startswith(drop)},
                "cls.predictions.bias": torch.zeros(24),
            },
        )
        vectors = load(f"dr-ehr-small:{folder}").encode_passages(TEXTS)
        assert apart(vectors, expected) < 1e-5


def test_loading_leaves_the_library_as_it_was(whole):
    log = transformers.utils.logging
    handlers = list(log.get_logger("transformers").handlers)
    before = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    try:
        load(f"bge:{whole['bge']}")
        assert log.get_verbosity() == log.ERROR
    finally:
        log.set_verbosity(before[0])
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before
    assert log.get_logger("transformers").handlers == handlers


def test_a_lost_parameter_is_seen_by_those_who_want_no_warnings(whole, tmp_path):
    folder = copy_of(whole["bge"], tmp_path)
    change(folder, lambda tensors: {f"x.{name}": value for name, value in tensors.items()})
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        with pytest.raises(EncoderError, match="only a part of the model"):
            load(f"bge:{folder}")
    finally:
        transformers.utils.logging.set_verbosity(before)


def test_a_folder_without_a_vocabulary(whole, tmp_path):
    """Transformers makes a tokenizer of the special tokens: every word would be unknown."""
    folder = copy_of(whole["dr-ehr-small"], tmp_path)
    for file in ("tokenizer.json", "vocab.txt"):
        (folder / file).unlink()
    with pytest.raises(EncoderError, match=r"holds no vocabulary .* knows 5 tokens, the model 23"):
        load(f"dr-ehr-small:{folder}")


# --- weights that are not numbers


def spoil(folder, *, word=None):
    """NaN in the embeddings, of one word or of all."""

    def alter(tensors):
        name = next(n for n in tensors if "word_embeddings" in n or "shared" in n)
        tensors[name][slice(None) if word is None else word] = float("nan")
        return tensors

    change(folder, alter)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_nan_are_told_before_anything_is_indexed(whole, kind, tmp_path):
    folder = spoil(copy_of(whole[kind], tmp_path))
    with pytest.raises(EncoderError, match="not finite or are zero: its weights are broken") as bad:
        EhrIndex.open(tmp_path / "x.idx", encoder=f"{kind}:{folder}")
    assert str(folder) in str(bad.value)
    assert not (tmp_path / "x.idx").exists()


def test_either_half_of_medcpt_may_be_nan(whole, tmp_path):
    for half, said in ((QUERIES, "queries"), (ARTICLES, "articles")):
        folder = shutil.copytree(whole["medcpt"], tmp_path / half)
        spoil(folder / half)
        with pytest.raises(EncoderError, match=rf"medcpt:{folder} \({said}\) gave vectors that"):
            EhrIndex.open(":memory:", encoder=f"medcpt:{folder}")


def test_one_word_that_is_nan_stops_the_run_and_a_rerun_completes_it(whole, tmp_path, monkeypatch):
    """The probes do not meet it; what was indexed before stays, nothing of the batch is written."""
    monkeypatch.setattr("drehr_rag.indexing.NOTES", 1)
    monkeypatch.setattr("drehr_rag.indexing.CHARACTERS", 1)
    sound, gout = whole["bge"], 5 + WORDS.index("gout")
    broken = spoil(copy_of(sound, tmp_path), word=gout)
    notes = [
        Note(note_id=f"n{i}", patient_id="p1", text=text)
        for i, text in enumerate(["heart pain", "gout of the toe", "toe pain"])
    ]
    with EhrIndex.open(tmp_path / "x.idx", encoder=load(f"bge:{broken}")) as index:
        with pytest.raises(EncoderError, match="not finite") as error:
            index.add(notes)
        assert "toe" not in str(error.value)
        assert index.count(scope=Patient("p1")) == 1
    with EhrIndex.open(tmp_path / "y.idx", encoder=load(f"bge:{sound}")) as index:
        assert index.add(notes).indexed == 3
