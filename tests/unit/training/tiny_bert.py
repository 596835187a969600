"""A random BERT with dropout, in float64, over texts that are numbers of tokens."""

import torch
from transformers import BertConfig, BertModel


def tiny_bert(*, dropout=0.3, seed=0):
    """2 layers, 16 hidden units, a vocabulary of 60; in training mode, so dropout is on."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.5,
        attn_implementation="eager",
    )
    return BertModel(config, add_pooling_layer=False).double().train()


def tokens(texts):
    """Texts as padded ids and their mask: one token for each letter, after `[CLS]`."""
    rows = [[1, *(2 + ord(letter) % 58 for letter in text[:24])] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def cls(model, texts):
    """The hidden state of `[CLS]`, (texts, 16)."""
    return model(**tokens(texts)).last_hidden_state[:, 0]


def gradients(model):
    """The gradient of each parameter, by name, and none left behind."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found
