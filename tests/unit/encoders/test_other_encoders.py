"""BGE, MedCPT, CODER and CoRTEx on tiny random models, against torch itself."""

import shutil

import pytest
from unit.encoders.tiny_models import (
    MEAN,
    PROMPTS,
    TEXTS,
    WORDS,
    add_modules,
    apart,
    computed,
    copy_of,
    load,
    save_bert,
    save_cortex,
    save_pair,
    torch,
    transformers,
    unit,
)

from drehr_rag import EhrIndex, Patient, load_encoder, ward
from drehr_rag.encoders.medcpt import ARTICLES, QUERIES
from drehr_rag.errors import (
    EncoderError,
    EncoderMismatch,
    ModelUnavailable,
    TextTooLong,
    UnknownName,
)
from drehr_rag.protocols import Encoder

BGE = "Represent this sentence for searching relevant passages: "
CORTEX = "Represent the meaning of the biomedical term for retrieval: "
VOCABULARY = [*WORDS, *"represent this sentence for searching relevant passages".split()]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """As `bge` and `coder` are published, but for a modules.json that says mean."""
    return save_bert(tmp_path_factory.mktemp("models") / "bert", words=VOCABULARY)


@pytest.fixture(scope="module")
def misleading(tmp_path_factory, bert):
    """The same weights with everything that a folder can say wrongly."""
    folder = copy_of(bert, tmp_path_factory.mktemp("models"))
    return add_modules(folder, prompts={**PROMPTS, "default_prompt_name": "query"})


@pytest.fixture(scope="module")
def medcpt(tmp_path_factory):
    return save_pair(tmp_path_factory.mktemp("models") / "medcpt")


@pytest.fixture(scope="module")
def cortex(tmp_path_factory):
    return save_cortex(tmp_path_factory.mktemp("models") / "cortex")


def name_of(kind, request):
    return f"{kind}:{request.getfixturevalue({'bge': 'bert', 'coder': 'bert'}.get(kind, kind))}"


KINDS = ["bge", "medcpt", "coder", "cortex"]


# --- BGE


@pytest.mark.parametrize("kind", ["bert", "misleading"])
def test_bge_is_cls_with_its_instruction_before_queries_only(request, kind):
    folder = request.getfixturevalue(kind)
    encoder = load(f"bge:{folder}")
    queries = computed(folder, [BGE + text for text in TEXTS], "cls")
    passages = computed(folder, TEXTS, "cls")
    assert apart(encoder.encode_queries(TEXTS), queries) < 1e-5
    assert apart(encoder.encode_passages(TEXTS), passages) < 1e-5
    assert apart(queries, passages) > 0.05
    assert apart(encoder.encode_passages(TEXTS), computed(folder, TEXTS, "mean")) > 0.05


def test_bge_fingerprint_and_limits(bert, misleading):
    encoder = load(f"bge:{bert}")
    given = encoder.fingerprint
    assert (given.model, given.pooling, given.dimension) == ("bert", "cls", 32)
    assert (given.query_prompt, given.passage_prompt, given.max_tokens) == (BGE, "", 512)
    assert given == load(f"bge:{misleading}").fingerprint
    assert encoder.max_tokens == 510
    encoder.encode_passages(["gout " * 510, "gout " * 511])
    encoder.encode_queries(["gout " * (510 - 8), "gout " * (511 - 8)])  # 8 tokens of instruction
    assert encoder.truncated == 2


def test_another_prompt_is_another_encoder(bert, tmp_path):
    cls = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    held = load(f"bge:{bert}")
    with EhrIndex.open(tmp_path / "x.idx", encoder=held):
        pass
    for i, prompt in enumerate([BGE, BGE.strip(), "", "query: "]):
        folder = add_modules(
            copy_of(bert, tmp_path / str(i)),
            pooling=cls,
            prompts={"prompts": {"query": prompt}},
            length=512,
        )
        other = load(folder)
        assert (other.fingerprint == held.fingerprint) == (prompt == BGE)
        if prompt == BGE:
            EhrIndex.open(tmp_path / "x.idx", encoder=other).close()
        else:
            with pytest.raises(EncoderMismatch, match="query_prompt"):
                EhrIndex.open(tmp_path / "x.idx", encoder=other)


# --- MedCPT


def test_medcpt_has_one_encoder_for_queries_and_one_for_articles(medcpt):
    encoder = load(f"medcpt:{medcpt}")
    queries = computed(medcpt / QUERIES, TEXTS, "cls", 64)
    articles = computed(medcpt / ARTICLES, TEXTS, "cls", 512)
    assert apart(encoder.encode_queries(TEXTS), queries) < 1e-5
    assert apart(encoder.encode_passages(TEXTS), articles) < 1e-5
    assert apart(queries, articles) > 0.05


def test_medcpt_limits_are_those_of_each_side(medcpt):
    encoder = load(f"medcpt:{medcpt}")
    assert isinstance(encoder, Encoder)
    assert (encoder.max_tokens, encoder.queries.max_tokens) == (510, 62)
    assert encoder.count_tokens(["gout toe", ""]) == [2, 0]
    encoder.encode_queries(["gout " * 62, "gout"])
    encoder.encode_passages(["gout " * 510, "gout " * 63])
    assert encoder.truncated == 0
    encoder.encode_queries(["gout " * 63])
    assert (encoder.truncated, encoder.queries.truncated, encoder.articles.truncated) == (1, 1, 0)
    encoder.encode_passages(["gout " * 511])
    assert (encoder.truncated, encoder.articles.truncated) == (2, 1)
    strict = load(f"medcpt:{medcpt}", overflow="error")
    with pytest.raises(TextTooLong, match=rf"63 tokens and medcpt:{medcpt} \(queries\) reads 62"):
        strict.encode_queries(["gout " * 63])
    with pytest.raises(TextTooLong, match=rf"511 tokens and medcpt:{medcpt} \(articles\) reads"):
        strict.encode_passages(["gout " * 511])


def test_medcpt_fingerprint_covers_both_sets_of_weights(medcpt, tmp_path):
    given = load(f"medcpt:{medcpt}").fingerprint
    assert (given.model, given.pooling, given.max_tokens) == ("medcpt", "cls", 512)
    assert (given.query_prompt, given.passage_prompt, given.dimension) == ("", "", 32)
    assert given == load(f"medcpt:{medcpt / QUERIES}, {medcpt / ARTICLES}").fingerprint
    swapped = load(f"medcpt:{medcpt / ARTICLES},{medcpt / QUERIES}").fingerprint
    assert swapped.weights != given.weights
    for half in (QUERIES, ARTICLES):
        other = shutil.copytree(medcpt, tmp_path / half)
        shutil.rmtree(other / half)
        save_bert(other / half, seed=9)
        assert load(f"medcpt:{other}").fingerprint.weights != given.weights
    split = load(f"medcpt:{medcpt}", overflow="split").fingerprint
    assert split != given and split.overflow == "split"


def test_medcpt_needs_both_halves(medcpt, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match=f"hf download ncbi/{QUERIES} --local-dir MODEL/"):
        load(f"medcpt:{medcpt / QUERIES}")
    with pytest.raises(ModelUnavailable, match="me/articles is not on this machine"):
        load(f"medcpt:{medcpt / QUERIES},me/articles")
    save_bert(tmp_path / "wide" / QUERIES)
    shutil.copytree(medcpt / ARTICLES, tmp_path / "wide" / ARTICLES)
    torch.manual_seed(0)
    config = transformers.BertConfig.from_pretrained(tmp_path / "wide" / ARTICLES, hidden_size=64)
    transformers.BertModel(config).save_pretrained(tmp_path / "wide" / ARTICLES)
    with pytest.raises(EncoderError, match="no pair: vectors of 32 numbers for queries and 64"):
        load(f"medcpt:{tmp_path / 'wide'}")


# --- CODER


@torch.no_grad()
def pooled(folder, texts):
    """As CODER's own code: 32 tokens whatever the term, the padding read, BERT's pooler."""
    model = transformers.BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=32)["input_ids"]
        ids += [tokenizer.pad_token_id] * (32 - len(ids))
        rows.append(model(torch.tensor([ids]))[1][0].numpy())
    return unit(rows)


@pytest.mark.parametrize("kind", ["bert", "misleading"])
@pytest.mark.parametrize("verb", ["encode_queries", "encode_passages"])
def test_coder_is_as_its_code_or_as_its_paper(request, kind, verb):
    folder = request.getfixturevalue(kind)
    released, strict = pooled(folder, TEXTS), computed(folder, TEXTS, "cls", 32)
    assert apart(getattr(load(f"coder:{folder}"), verb)(TEXTS), released) < 1e-5
    assert apart(getattr(load(f"coder:{folder}", compat="strict"), verb)(TEXTS), strict) < 1e-5
    assert apart(released, strict) > 0.05
    assert apart(computed(folder, TEXTS, "mean", 32), strict) > 0.05


def test_coder_fingerprint_and_limits(bert, misleading):
    encoder, strict = load(f"coder:{bert}"), load(f"coder:{bert}", compat="strict")
    given, other = encoder.fingerprint, strict.fingerprint
    assert (given.pooling, given.compat, given.max_tokens) == ("pooler", "released", 32)
    assert (other.pooling, other.compat, other.max_tokens) == ("cls", "strict", 32)
    assert (given.query_prompt, given.passage_prompt, given.dimension) == ("", "", 32)
    assert given == load(f"coder:{misleading}").fingerprint
    for one in (encoder, strict):
        one.encode_passages(["gout " * 30, "gout " * 31])
        assert (one.max_tokens, one.truncated) == (30, 1)
    with pytest.raises(UnknownName, match="released or strict, not 'mean'"):
        load(f"coder:{bert}", compat="mean")


def test_coder_without_its_pooler_is_refused_where_it_is_used(bert, tmp_path):
    folder = copy_of(bert, tmp_path)
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False)
    model.save_pretrained(folder)
    with pytest.raises(EncoderError, match=r"only a part of the model: pooler\.dense\.bias"):
        load(f"coder:{folder}")
    vectors = load(f"coder:{folder}", compat="strict").encode_passages(TEXTS)
    assert apart(vectors, computed(bert, TEXTS, "cls", 32)) < 1e-5


# --- CoRTEx


@torch.no_grad()
def instructed(folder, texts, length=96):
    """As INSTRUCTOR: instruction and text through the T5, the mean over the text's tokens."""
    model = transformers.T5EncoderModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    dense = torch.load(folder / "2_Dense" / "pytorch_model.bin")["linear.weight"].numpy()
    rows = []
    for text in texts:
        ids = tokenizer(CORTEX + text, truncation=True, max_length=length)["input_ids"]
        hidden = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        instruction = len(tokenizer(CORTEX)["input_ids"]) - 1  # without </s>
        rows.append(dense @ hidden[instruction:].mean(axis=0))
    return unit(rows)


TERMS = ["fever", "gout of the toe", "toes", "", "the gout " * 90]


@pytest.mark.parametrize("verb", ["encode_queries", "encode_passages"])
def test_cortex_reads_its_instruction_and_pools_the_term(cortex, verb):
    encoder = load(f"cortex:{cortex}")
    assert apart(getattr(encoder, verb)(TERMS), instructed(cortex, TERMS)) < 1e-5
    assert encoder.truncated == 1
    without = load(f"cortex:{cortex}")
    without._model[1].include_prompt = True
    assert apart(getattr(without, verb)(TERMS), instructed(cortex, TERMS)) > 0.02


def test_cortex_fingerprint_and_limits(cortex, tmp_path):
    encoder = load(f"cortex:{cortex}")
    given = encoder.fingerprint
    assert (given.query_prompt, given.passage_prompt) == (CORTEX, CORTEX)
    assert (given.pooling, given.dimension) == ("mean without the prompt", 24)
    assert given.max_tokens == 96
    assert encoder.max_tokens == 96 - 1 - encoder.count_tokens([CORTEX])[0]
    other = shutil.copytree(cortex, tmp_path / "dense")
    torch.save({"linear.weight": torch.randn(24, 32)}, other / "2_Dense" / "pytorch_model.bin")
    assert load(f"cortex:{other}").fingerprint.weights != given.weights


def test_cortex_saved_by_todays_library_is_the_same(cortex, tmp_path):
    expected = load(f"cortex:{cortex}")
    expected._model.save(str(tmp_path / "again"))
    again = load(f"cortex:{tmp_path / 'again'}")
    assert apart(again.encode_queries(TERMS), expected.encode_queries(TERMS)) < 1e-6
    assert again.fingerprint.pooling == expected.fingerprint.pooling


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (None, "no modules.json that says how CoRTEx pools"),
        ("{", "no modules.json that says how"),
        ("[]", "no modules.json that says how"),
        ('[{"path": "", "type": "T"}, {"path": "2_Dense", "type": "Dense"}]', "says how CoRTEx"),
        (
            '[1, {"path": "1_INSTRUCTOR_Pooling", "type": "P"}, {"path": "2", "type": "a.LSTM"}]',
            "a.LSTM",
        ),
    ],
)
def test_a_folder_that_is_no_cortex(cortex, tmp_path, modules, message):
    folder = shutil.copytree(cortex, tmp_path / "cortex")
    (folder / "modules.json").unlink()
    if modules is not None:
        (folder / "modules.json").write_text(modules)
    with pytest.raises(EncoderError, match=message):
        load(f"cortex:{folder}")


# --- each of them


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_loads_it_again(request, kind, monkeypatch):
    encoder = load(name_of(kind, request))
    again = load(encoder.name)
    assert (again.fingerprint, again.name) == (encoder.fingerprint, encoder.name)
    folder = request.getfixturevalue({"bge": "bert", "coder": "bert"}.get(kind, kind))
    monkeypatch.chdir(folder.parent)
    assert load(f"{kind}:{folder.name}").name == encoder.name  # from wherever it is opened


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [":memory:", "x.idx"])
def test_an_index_with_it(request, kind, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = name_of(kind, request)
    some = [note for note in ward.notes() if note.patient_id == "p08"][:2]
    with EhrIndex.open(place, encoder=name) as index:
        report = index.add(some)
        assert report.chunks > 0 and report.truncated == 0
        found = index.search("heparin", scope=Patient("p08"), mode="dense", k=3)
        vectors = index.encoder.encode_passages([hit.chunk.text for hit in found])
        cosines = vectors @ index.encoder.encode_queries(["heparin"])[0]
        assert [hit.score for hit in found] == pytest.approx(cosines.tolist(), abs=5e-3)
        assert not any(index.search("heparin", scope=Patient("p01")))
    if place != ":memory:":
        with EhrIndex.open(place) as index:  # by the name that it remembers
            assert index.info()["encoder"] == name
            again = index.search("heparin", scope=Patient("p08"), mode="dense", k=3)
            assert [hit.chunk for hit in again] == [hit.chunk for hit in found]


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_knows_the_hub_here(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    published = {
        "bge": "BAAI/bge-base-en-v1.5",
        "medcpt": "ncbi/MedCPT-Query-Encoder",
        "coder": "GanjinZero/coder_eng",
        "cortex": "THUMedInfo/CoRTEx",
    }
    with pytest.raises(ModelUnavailable, match=f"hf download {published[kind]} --local-dir"):
        load_encoder(kind)


def test_none_of_them_is_another(bert, tmp_path):
    """One folder through every encoder that takes it gives as many identities."""
    folder = add_modules(copy_of(bert, tmp_path), pooling=MEAN)
    names = [f"bge:{folder}", f"coder:{folder}", f"dr-ehr-small:{folder}", str(folder)]
    prints = [load(name).fingerprint for name in names]
    settings = {(p.pooling, p.query_prompt, p.max_tokens, p.compat) for p in prints}
    assert len(settings) == len(names)
    assert len({p.weights for p in prints}) == 1
