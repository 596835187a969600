"""A tiny random BERT that scores pairs, in a folder as it is published."""

import torch
import transformers
from unit.encoders.tiny_models import WORDS


def save_cross_encoder(folder, *, labels=1, hidden=32, heads=4, seed=0):
    """2 layers and a small vocabulary; vLLM wants heads of 32 at least."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=heads,
        intermediate_size=2 * hidden,
        max_position_embeddings=512,
        initializer_range=0.2,
        num_labels=labels,
    )
    folder.mkdir(parents=True, exist_ok=True)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer = transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True)
    tokenizer.save_pretrained(folder)
    return folder
