"""Tiny random models in folders as they are published, and their vectors by torch alone."""

import json
import shutil

import numpy as np
import pytest

from drehr_rag import load_encoder
from drehr_rag.encoders.medcpt import ARTICLES, QUERIES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")
safetensors = pytest.importorskip("safetensors.torch")

WORDS = "gout toe pain heart failure no the of query passage : . , ##s ##ing a b c".split()
TEXTS = [
    "gout",
    "heart failure, no pain.",
    "toes of the heart failing " * 9,
    "unknown words",
    "gout " * 600,
]
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
PROMPTS = {"prompts": {"query": "query: ", "document": "passage: "}, "default_prompt_name": None}


def save_bert(folder, *, seed=0, words=WORDS, spread=0.5):
    """A random BERT: 2 layers, 32 hidden units, a small vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *words]) + "\n")
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(special) + len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=spread,
    )
    transformers.BertModel(config).save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate([*special, *words])}
    tokenizer = transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True)
    tokenizer.save_pretrained(folder)
    return folder


def add_modules(folder, *, pooling=MEAN, prompts=None, length=64):
    """What makes a sentence-transformers folder of it."""
    base = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{base}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{base}.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    config = {"word_embedding_dimension": 32, **pooling}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    settings = {"max_seq_length": length, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    if prompts:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def copy_of(folder, place):
    return shutil.copytree(folder, place / folder.name)


@torch.no_grad()
def computed(folder, texts, pooling, length=512):
    """The vectors, without any of our code or sentence-transformers'."""
    model = transformers.BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
        hidden = model(**batch).last_hidden_state[0].numpy()
        rows.append(hidden[0] if pooling == "cls" else hidden.mean(axis=0))
    return unit(rows)


def unit(rows):
    vectors = np.array(rows)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def apart(one, other):
    return np.abs(one - other).max()


def load(name, **options):
    return load_encoder(str(name), **{"device": "cpu", "precision": "float32", **options})


# --- a T5 as CoRTEx is published


PIECES = "▁ ▁fever ▁gout ▁toe ▁of ▁the s ing ▁represent ▁meaning ▁biomedical ▁term : t o e".split()


def save_cortex(folder, *, seed=0):
    """A random T5 of 2 layers, and beside it the modules that CoRTEx's `modules.json` names."""
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0)]
    words += [(piece, -float(len(PIECES) - i)) for i, piece in enumerate(PIECES)]
    tokenizer = transformers.T5Tokenizer(vocab=words, extra_ids=0, additional_special_tokens=[])
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        initializer_factor=3.0,
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512}))
    (folder / "1_INSTRUCTOR_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, **MEAN}
    (folder / "1_INSTRUCTOR_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "2_Dense").mkdir()
    identity = "torch.nn.modules.linear.Identity"
    dense = {"in_features": 32, "out_features": 24, "bias": False, "activation_function": identity}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    weight = torch.randn(24, 32)
    torch.save({"linear.weight": weight}, folder / "2_Dense" / "pytorch_model.bin")
    own, library = "InstructorEmbedding.instructor", "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": own},
        {"idx": 1, "name": "1", "path": "1_INSTRUCTOR_Pooling", "type": own},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": f"{library}.Dense"},
        {"idx": 3, "name": "3", "path": "3_Normalize", "type": f"{library}.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


# --- every kind of encoder that reads a folder


def save_pair(folder):
    save_bert(folder / QUERIES, seed=1)
    add_modules(save_bert(folder / ARTICLES, seed=2))  # and mean pooling, which is not MedCPT's
    return folder


KINDS = {
    "dr-ehr-small": save_bert,
    "bge": save_bert,
    "coder": save_bert,
    "medcpt": save_pair,
    "cortex": save_cortex,
    "sentence-transformer": lambda folder: add_modules(save_bert(folder)),
}


def weights(folder):
    return next(iter(sorted(folder.rglob("model.safetensors"))))


def change(folder, alter):
    """Rewrite a folder's weights."""
    tensors = safetensors.load_file(weights(folder))
    safetensors.save_file(alter(tensors), weights(folder), metadata={"format": "pt"})
