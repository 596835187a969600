"""Tiny random models in folders as they are published, and their vectors by torch alone."""

import json
import shutil

import numpy as np
import pytest

from drehr_rag import load_encoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")

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


def save_bert(folder, *, seed=0, words=WORDS):
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
        initializer_range=0.5,
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
    vectors = np.array(rows)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def load(name, **options):
    return load_encoder(str(name), **{"device": "cpu", "precision": "float32", **options})
